#include "common/config/configuration.h"

namespace flink {

const std::vector<DeprecatedKeys>& DeprecatedConfigKeys() {
  static const auto* keys = new std::vector<DeprecatedKeys>{
      {"execution.checkpointing.num-retained", {"state.checkpoints.num-retained"}},
      {"execution.checkpointing.dir",
       {"state.checkpoints.dir", "state.backend.fs.checkpointdir",
        "savepoints.state.backend.fs.checkpointdir"}},
      {"execution.checkpointing.savepoint-dir",
       {"state.savepoints.dir", "savepoints.state.backend.fs.dir"}},
      {"execution.checkpointing.storage", {"state.checkpoint-storage"}},
      {"execution.checkpointing.create-subdir", {"state.checkpoints.create-subdir"}},
      {"execution.checkpointing.incremental", {"state.backend.incremental"}},
      {"execution.checkpointing.data-inline-threshold",
       {"state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"}},
      {"execution.checkpointing.write-buffer-size",
       {"state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"}},
      {"execution.checkpointing.local-backup.enabled", {"state.backend.local-recovery"}},
      {"execution.checkpointing.local-backup.dirs", {"taskmanager.state.local.root-dirs"}},
      {"execution.checkpointing.unaligned.enabled", {"execution.checkpointing.unaligned"}},
      {"execution.checkpointing.aligned-checkpoint-timeout",
       {"execution.checkpointing.alignment-timeout"}},
      {"execution.checkpointing.checkpoints-after-tasks-finish",
       {"execution.checkpointing.checkpoints-after-tasks-finish.enabled"}},
      {"execution.checkpointing.cleaner.parallel-mode", {"state.checkpoint.cleaner.parallel-mode"}},
      {"execution.checkpointing.file-merging.enabled", {"state.checkpoints.file-merging.enabled"}},
      {"execution.state-recovery.path", {"execution.savepoint.path"}},
      {"execution.state-recovery.ignore-unclaimed-state",
       {"execution.savepoint.ignore-unclaimed-state"}},
      {"execution.state-recovery.claim-mode", {"execution.savepoint-restore-mode"}},
      {"execution.state-recovery.from-local", {"state.backend.local-recovery"}},
      {"execution.state-recovery.without-channel-state.checkpoint-id",
       {"execution.checkpointing.recover-without-channel-state.checkpoint-id"}},
      {"state.backend.type", {"state.backend"}},
      {"state.changelog.enabled", {"state.backend.changelog.enabled"}},
      {"restart-strategy.type", {"restart-strategy"}},
      {"high-availability.type", {"high-availability", "recovery.mode"}},
      {"high-availability.cluster-id",
       {"high-availability.zookeeper.path.namespace", "recovery.zookeeper.path.namespace"}},
      {"high-availability.storageDir",
       {"high-availability.zookeeper.storageDir", "recovery.zookeeper.storageDir"}},
      {"high-availability.jobmanager.port", {"recovery.jobmanager.port"}},
      {"high-availability.zookeeper.quorum", {"recovery.zookeeper.quorum"}},
      {"high-availability.zookeeper.path.root", {"recovery.zookeeper.path.root"}},
      {"pekko.ask.timeout", {"akka.ask.timeout"}},
      {"pipeline.operator-chaining.enabled", {"pipeline.operator-chaining"}},
  };
  return *keys;
}

}  // namespace flink
