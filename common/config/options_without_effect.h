#pragma once

/// Flink's settings that are understood and change nothing here: whoever sets one is told so, and
/// what happens instead.

#include <string>
#include <string_view>
#include <vector>

#include "common/config/configuration.h"
#include "common/config/options.h"

namespace flink {

struct OptionWithoutEffect {
  ConfigOption option;
  std::string_view instead;
};

namespace options {

inline constexpr std::string_view kNeverLocal =
    "State is restored from the checkpoint directory, never from a local copy.";
inline constexpr std::string_view kOneFilePerStream =
    "Each state stream has a file of its own; small ones stand in `_metadata`.";
inline constexpr std::string_view kOneJobManager =
    "There is one JobManager; after its death jobs are resumed by hand from their newest snapshot.";
inline constexpr std::string_view kOwnSlotsShare =
    "State has its slot's share of the managed memory.";
inline constexpr std::string_view kNoRetries = "Who finds no JobManager is told so at once.";

inline constexpr OptionWithoutEffect kWithoutEffect[] = {
    {{"savepoints.state.backend", ""}, "Savepoints always go to files."},
    {{"execution.checkpointing.interval-during-backlog", ""},
     "The interval is the same while a source works off a backlog."},
    {{"execution.checkpointing.unaligned.forced", "false"}, "No edge needs it."},
    {{"execution.checkpointing.unaligned.max-subtasks-per-channel-state-file", "5"},
     "Each subtask writes a file of its own."},
    {{"execution.checkpointing.unaligned.interruptible-timers.enabled", "false"},
     "A barrier waits for the timers that are due."},
    {{"execution.checkpointing.local-backup.enabled", "false"}, kNeverLocal},
    {{"execution.checkpointing.local-backup.dirs", ""}, kNeverLocal},
    {{"execution.state-recovery.from-local", "false"}, kNeverLocal},
    {{"execution.state-recovery.without-channel-state.checkpoint-id", "-1"},
     "All state of a snapshot is restored."},
    {{"execution.checkpointing.cleaner.parallel-mode", "true"},
     "Deletions run one after the other, beside everything else."},
    {{"execution.checkpointing.file-merging.enabled", "false"}, kOneFilePerStream},
    {{"execution.checkpointing.file-merging.across-checkpoint-boundary", "false"},
     kOneFilePerStream},
    {{"execution.checkpointing.file-merging.max-file-size", "32 mb"}, kOneFilePerStream},
    {{"execution.checkpointing.file-merging.max-space-amplification", "2.0"}, kOneFilePerStream},
    {{"execution.checkpointing.file-merging.pool-blocking", "false"}, kOneFilePerStream},
    {{"pipeline.sources.pause-until-first-checkpoint", "false"},
     "Sources begin when the job does."},
    {{"high-availability.type", "NONE"}, kOneJobManager},
    {{"high-availability.cluster-id", "/default"}, kOneJobManager},
    {{"high-availability.storageDir", ""}, kOneJobManager},
    {kCheckpointWriteBufferSize, "State files are written in one piece."},
    {kRocksDbLocalDirectories, "Local state lies below io.tmp.dirs."},
    {kRocksDbMemoryManaged, kOwnSlotsShare},
    {kRocksDbMemoryFixedPerSlot, kOwnSlotsShare},
    {kRocksDbWriteBufferRatio, "The division of the memory is fixed."},
    {kHeartbeatRpcFailureThreshold, "A peer is lost when its connection breaks or it is silent."},
    {kAskTimeout, "A peer that does not answer is lost after heartbeat.timeout."},
    {kRestConnectionTimeout, "client.timeout counts."},
    {kRestIdlenessTimeout, "Connections are closed by their client."},
    {kRestRetryMaxAttempts, kNoRetries},
    {kRestRetryDelay, kNoRetries},
    {kWebUploadDirectory, "What is uploaded lies below io.tmp.dirs."},
    {kClientRetryPeriod, "The client asks again after growing pauses of up to 0.2 s."},
    {kTaskManagerRpcPort, "A TaskManager calls its JobManager; nobody calls it."},
    {kTaskManagerNetworkFraction, "Exchange buffers grow with the number of channels."},
    {kTaskManagerRegistrationTimeout, "A TaskManager goes on looking for its JobManager."},
    {kAutoWatermarkInterval, "Watermarks come with the records."},
};

}  // namespace options

/// One sentence for each of them that `configuration` sets to something else than its default,
/// under the name by which it is set.
std::vector<std::string> WarningsOfNoEffect(const Configuration& configuration);
/// Logs each of them, once per process. Thread-safe.
void LogOptionsWithoutEffect(const Configuration& configuration);

}  // namespace flink
