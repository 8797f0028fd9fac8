// The work of RocksDbKeyedStateBackend that runs on I/O threads.

#include <algorithm>

#include "common/base/failpoint.h"
#include "common/io/file_system.h"
#include "taskmanager/state/canonical_format.h"
#include "taskmanager/state/keyed_state_restore.h"
#include "taskmanager/state/rocksdb_files.h"
#include "taskmanager/state/rocksdb_keyed_state_backend.h"

namespace flink::taskmanager {

void RocksDbKeyedStateBackend::RunOn(WorkerPool* pool, Mail work) {
  if (pool == nullptr) {
    work();
    return;
  }
  auto shared = std::make_shared<Mail>(std::move(work));
  // A pool that is shutting down takes nothing more; the work then runs here.
  if (!pool->Submit([shared] { (*shared)(); })) (*shared)();
}

void RocksDbKeyedStateBackend::RunNextFlush() {
  while (true) {
    FlushJob job;
    Status status;
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        flush_running_ = false;
        changed_.notify_all();
        return;
      }
      job = std::move(queue_.front());
      queue_.pop_front();
      status = flush_failure_;
    }
    // Behind a failed flush the store lacks rows: a snapshot of it would be a wrong one.
    if (status.ok()) status = RunFlush(job);
    if (job.snapshot.has_value()) {
      if (status.ok())
        Capture(std::move(*job.snapshot));
      else
        Report({job.snapshot->number, job.snapshot->request.checkpoint_id, status, {}});
    }
    {
      std::lock_guard lock(mutex_);
      ++flushes_done_;
      if (flush_failure_.ok()) flush_failure_ = status;
      changed_.notify_all();
    }
    PostCompletions();
  }
}

Status RocksDbKeyedStateBackend::RunFlush(FlushJob& job) {
  for (StateRows& rows : job.rows) {
    RETURN_IF_ERROR(store_->ApplyRows(rows.family, rows.sets));
    rows.sets.clear();
  }
  return OkStatus();
}

void RocksDbKeyedStateBackend::Capture(SnapshotJob job) {
  const int64_t id = job.request.checkpoint_id;
  const std::string directory = store_->NextTemporaryPrefix() + "checkpoint";
  const Status status = store_->CreateCheckpoint(directory);
  if (!status.ok()) {
    Report({job.number, id, status, {}});
    return;
  }
  {
    std::lock_guard lock(mutex_);
    ++work_running_;
  }
  const bool canonical = job.request.format == SnapshotFormat::kCanonical;
  auto shared = std::make_shared<SnapshotJob>(std::move(job));
  RunOn(canonical ? options_.background_pool : options_.io_pool, [=, this] {
    PassFailpoint("snapshot.upload-begun", shared->request.exclusive_directory);
    SnapshotOutcome outcome{shared->number, id, KeyedSnapshotResult{}, {}};
    if (canonical) {
      outcome.result = CanonicalSnapshot(*shared, directory);
    } else {
      outcome.result = WriteNativeSnapshot(
          shared->request, options_.inline_threshold_bytes, directory, shared->header, backend_id_,
          options_.key_groups, shared->reusable, &table_checksums_, &outcome.uploaded);
    }
    IgnoreError(io::RemoveAll(directory), "the backend's directory is removed as a whole");
    Report(std::move(outcome));
    std::lock_guard lock(mutex_);
    --work_running_;
    changed_.notify_all();
  });
}

StatusOr<KeyedSnapshotResult> RocksDbKeyedStateBackend::CanonicalSnapshot(
    const SnapshotJob& job, const std::string& directory) {
  if (*job.cancelled) return Cancelled("nobody waits for the savepoint any more");
  const CompactionBrake::Hold hold = store_->HoldCompactions();
  const std::string name = RandomUuid();
  CanonicalWriter file({.path = io::JoinPath(job.request.exclusive_directory, name),
                        .key_groups = options_.key_groups,
                        .inline_threshold_bytes = options_.inline_threshold_bytes},
                       job.header);
  ASSIGN_OR_RETURN(const auto files, RocksDbFiles::Open(directory, {.map = true}));
  std::vector<std::unique_ptr<rocksdb::Iterator>> rows;
  for (const std::string& state : job.states) {
    rows.push_back(files->NewIterator(state));
    if (rows.back() == nullptr) return Internal("the RocksDB checkpoint lacks state {}", state);
    rows.back()->SeekToFirst();
  }
  for (int group = options_.key_groups.start; group <= options_.key_groups.end; ++group) {
    if (*job.cancelled) return Cancelled("nobody waits for the savepoint any more");
    const std::string prefix = KeyGroupPrefix(group, options_.max_parallelism);
    for (size_t state = 0; state < rows.size(); ++state) {
      for (; rows[state]->Valid() && rows[state]->key().starts_with(prefix); rows[state]->Next()) {
        RETURN_IF_ERROR(file.Add(group, static_cast<int>(state), ToView(rows[state]->key()),
                                 ToView(rows[state]->value())));
      }
      RETURN_IF_ERROR(FromRocksDb(rows[state]->status(), "reading state for a savepoint"));
    }
  }
  ASSIGN_OR_RETURN(CanonicalStream stream, file.Finish());
  snapshot::KeyGroupsHandle handle;
  handle.kind = snapshot::KeyGroupsHandle::Kind::kSavepoint;
  handle.start_key_group = options_.key_groups.start;
  handle.offsets = std::move(stream.offsets);
  SnapshotWriter writer(job.request, options_.inline_threshold_bytes);
  if (stream.bytes.has_value()) {
    ASSIGN_OR_RETURN(handle.stream, writer.AddBytes(*std::move(stream.bytes)));
  } else {
    handle.stream = writer.Adopt(name, stream.size, stream.checksum);
  }
  KeyedSnapshotResult result;
  result.handle = std::move(handle);
  RETURN_IF_ERROR(writer.Finish(&result));
  return result;
}

void RocksDbKeyedStateBackend::Report(SnapshotOutcome outcome) {
  {
    std::lock_guard lock(mutex_);
    outcomes_.push_back(std::move(outcome));
    changed_.notify_all();
  }
  PostCompletions();
}

}  // namespace flink::taskmanager
