#pragma once

/// Restoring keyed state: opens the files of one handle as they are when the key groups agree, else
/// builds sorted files from all handles that hold key groups of the subtask.
///
/// Blocking, for one thread. Errors name file and state; kDataLoss: a restart would not help. The
/// contents of all files are compared with their checksums, and no byte of a RocksDB file is
/// interpreted before.

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/keyed_state_header.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/state/rocksdb_store.h"
#include "taskmanager/state/snapshot_writer.h"

namespace flink::taskmanager {

struct RestoredKeyedState {
  std::unique_ptr<RocksDbStore> store;
  /// Empty key_serializer: nothing was restored.
  snapshot::KeyedStateHeader header;
  /// Files of the restored checkpoint that the instance still has under the same name.
  UploadedFiles uploaded;
  /// Of table files that the instance has under the name that the snapshot gives them.
  std::map<std::string, uint64_t> table_checksums;
};

/// `store_options.directory` must be empty or absent. `pool` may be null.
StatusOr<RestoredKeyedState> RestoreKeyedState(const RocksDbStore::Options& store_options,
                                               KeyGroupRange key_groups, int max_parallelism,
                                               const std::vector<KeyedRestoreInput>& inputs,
                                               WorkerPool* pool);

/// The prefix of all row keys of a key group.
std::string KeyGroupPrefix(int key_group, int max_parallelism);

}  // namespace flink::taskmanager
