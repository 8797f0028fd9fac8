#include "taskmanager/state/keyed_state_restore.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/failpoint.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/file_verifier.h"
#include "taskmanager/state/canonical_format.h"
#include "taskmanager/state/rocksdb_files.h"

namespace flink::taskmanager {
namespace {

using snapshot::IncrementalHandle;
using snapshot::KeyedStateHeader;
using snapshot::KeyGroupsHandle;

/// Brings one file of a RocksDB instance to `target`.
Status Materialize(const snapshot::LocalFile& file, const std::string& base_directory,
                   const std::string& target) {
  if (const auto* in_place = std::get_if<snapshot::InlineHandle>(&file.stream)) {
    return io::WriteFileDurably(target, in_place->bytes);
  }
  ASSIGN_OR_RETURN(const std::string source,
                   snapshot::ResolveStreamPath(file.stream, base_directory));
  // RocksDB never changes a table file, but it may append to the others.
  if (!IsTableFile(file.local_name)) return io::CopyFile(source, target);
  ASSIGN_OR_RETURN(const bool linked, io::LinkOrCopy(source, target));
  // The next checkpoint takes it for durable, but who copied the snapshot there may not have synced
  // it.
  return linked ? io::FsyncFile(target) : OkStatus();
}

Status MaterializeAll(const IncrementalHandle& handle, const std::string& base_directory,
                      const std::string& directory) {
  RETURN_IF_ERROR(io::CreateDirectories(directory));
  for (const auto* files : {&handle.shared_files, &handle.private_files}) {
    for (const snapshot::LocalFile& file : *files) {
      RETURN_IF_ERROR(Materialize(file, base_directory, io::JoinPath(directory, file.local_name)));
    }
  }
  return OkStatus();
}

StatusOr<KeyedStateHeader> ReadHeader(const IncrementalHandle& handle,
                                      const std::string& base_directory) {
  ASSIGN_OR_RETURN(const std::string bytes, snapshot::ReadStream(handle.meta, base_directory));
  return snapshot::ParseKeyedStateHeader(bytes);
}

StatusOr<RestoredKeyedState> OpenFiles(const RocksDbStore::Options& store_options,
                                       const IncrementalHandle& handle,
                                       const std::string& base_directory,
                                       const snapshot::FileChecksums& checksums,
                                       snapshot::FileVerifier& verifier) {
  RestoredKeyedState out;
  ASSIGN_OR_RETURN(out.header, ReadHeader(handle, base_directory));
  RETURN_IF_ERROR(
      MaterializeAll(handle, base_directory, io::JoinPath(store_options.directory, "db")));
  RETURN_IF_ERROR(verifier.Wait());
  ASSIGN_OR_RETURN(out.store, RocksDbStore::Open(store_options));
  for (const snapshot::StateMetaInfo& state : out.header.states) {
    if (out.store->FindColumnFamily(state.name) == nullptr) {
      return DataLoss("the snapshot lists state {}, but its RocksDB files do not have it",
                      state.name);
    }
  }
  for (const auto* files : {&handle.shared_files, &handle.private_files}) {
    for (const snapshot::LocalFile& file : *files) {
      const auto* stored = std::get_if<snapshot::FileHandle>(&file.stream);
      if (stored == nullptr && !std::holds_alternative<snapshot::RelativeFileHandle>(file.stream)) {
        continue;
      }
      ASSIGN_OR_RETURN(const std::string path,
                       snapshot::ResolveStreamPath(file.stream, base_directory));
      const auto checksum = checksums.find(path);
      // A file without checksum is written again, so that every file of our snapshots has one.
      if (checksum == checksums.end()) continue;
      if (stored != nullptr && files == &handle.shared_files) {
        out.uploaded[file.local_name] = {*stored, checksum->second};
      }
      if (IsTableFile(file.local_name)) out.table_checksums[file.local_name] = checksum->second;
    }
  }
  return out;
}

/// Collects rows of all sources, which come in ascending order of key groups, and ingests them.
class StateBuilder {
 public:
  explicit StateBuilder(RocksDbStore* store) : store_(store) {}

  /// Stays where it is.
  SstBuilder* Of(const std::string& state) {
    std::unique_ptr<SstBuilder>& builder = builders_[state];
    if (builder == nullptr) {
      builder =
          std::make_unique<SstBuilder>(store_->builder_options(), store_->NextTemporaryPrefix());
    }
    return builder.get();
  }
  Status Finish(const KeyedStateHeader& header) {
    for (const snapshot::StateMetaInfo& state : header.states) {
      ASSIGN_OR_RETURN(rocksdb::ColumnFamilyHandle* const family,
                       store_->CreateColumnFamily(state.name));
      const auto it = builders_.find(state.name);
      if (it == builders_.end()) continue;
      ASSIGN_OR_RETURN(const auto files, it->second->Finish());
      RETURN_IF_ERROR(store_->Ingest(family, files));
    }
    return OkStatus();
  }

 private:
  RocksDbStore* store_;
  std::map<std::string, std::unique_ptr<SstBuilder>> builders_;
};

/// Adds the rows of `range`.
Status ReadRocksDb(const IncrementalHandle& handle, const std::string& base_directory,
                   const std::string& directory, const KeyedStateHeader& header,
                   KeyGroupRange range, int max_parallelism, snapshot::FileVerifier& verifier,
                   StateBuilder* builder) {
  RETURN_IF_ERROR(MaterializeAll(handle, base_directory, directory));
  RETURN_IF_ERROR(verifier.Wait());
  ASSIGN_OR_RETURN(const auto files, RocksDbFiles::Open(directory, {.map = true}));
  const std::string begin = KeyGroupPrefix(range.start, max_parallelism);
  for (const snapshot::StateMetaInfo& state : header.states) {
    const std::unique_ptr<rocksdb::Iterator> it = files->NewIterator(state.name);
    if (it == nullptr) continue;
    SstBuilder* const rows = builder->Of(state.name);
    for (it->Seek(begin); it->Valid(); it->Next()) {
      const std::string_view key = ToView(it->key());
      if (key.size() < begin.size()) {
        return DataLoss("state {} has a key of {} bytes, without its key group", state.name,
                        key.size());
      }
      int group = static_cast<unsigned char>(key[0]);
      if (max_parallelism > 128) group = group << 8 | static_cast<unsigned char>(key[1]);
      if (group > range.end) break;
      RETURN_IF_ERROR(rows->Put(key, ToView(it->value())));
    }
    RETURN_IF_ERROR(FromRocksDb(it->status(), "reading state " + state.name));
  }
  return OkStatus();
}

Status ReadCanonical(const CanonicalReader& reader, KeyGroupRange range, int max_parallelism,
                     StateBuilder* builder) {
  std::vector<SstBuilder*> builders;
  for (const snapshot::StateMetaInfo& state : reader.header().states) {
    builders.push_back(builder->Of(state.name));
  }
  CanonicalReader::Group rows;
  for (int group = range.start; group <= range.end; ++group) {
    RETURN_IF_ERROR(reader.ReadGroup(group, KeyGroupPrefix(group, max_parallelism), &rows));
    for (const CanonicalReader::Row& row : rows.rows) {
      RETURN_IF_ERROR(builders[static_cast<size_t>(row.state)]->Put(row.key, row.value));
    }
  }
  return OkStatus();
}

/// Adds the states of one source to what is known.
Status MergeHeader(const KeyedStateHeader& source, KeyedStateHeader* all) {
  if (all->key_serializer.empty()) all->key_serializer = source.key_serializer;
  if (all->key_serializer != source.key_serializer) {
    return DataLoss("the subtasks of the snapshot disagree about the type of the key");
  }
  for (const snapshot::StateMetaInfo& state : source.states) {
    const auto it = std::find_if(all->states.begin(), all->states.end(),
                                 [&](const auto& s) { return s.name == state.name; });
    if (it == all->states.end())
      all->states.push_back(state);
    else if (it->kind != state.kind || it->Serializer(snapshot::kValueSerializerKey) !=
                                           state.Serializer(snapshot::kValueSerializerKey)) {
      return DataLoss("the subtasks of the snapshot disagree about the type of state {}",
                      state.name);
    }
  }
  return OkStatus();
}

Status ReadInput(const KeyedRestoreInput& input, KeyGroupRange range, int max_parallelism,
                 const std::string& directory, snapshot::FileVerifier& verifier,
                 KeyedStateHeader* header, StateBuilder* builder) {
  if (const auto* files = std::get_if<IncrementalHandle>(&input.handle)) {
    ASSIGN_OR_RETURN(const KeyedStateHeader own, ReadHeader(*files, input.base_directory));
    RETURN_IF_ERROR(MergeHeader(own, header));
    ASSIGN_OR_RETURN(const io::TempDirectory temporary,
                     io::TempDirectory::Create("restore", directory));
    return ReadRocksDb(*files, input.base_directory, temporary.File("db"), own, range,
                       max_parallelism, verifier, builder);
  }
  const auto* stream = std::get_if<KeyGroupsHandle>(&input.handle);
  if (stream == nullptr) {
    return InvalidArgument(
        "the keyed state was written in the native format of another state backend: take a "
        "savepoint in canonical format "
        "and start from that");
  }
  CanonicalReader reader;
  RETURN_IF_ERROR(reader.Open(*stream, input.base_directory));
  RETURN_IF_ERROR(MergeHeader(reader.header(), header));
  return ReadCanonical(reader, range, max_parallelism, builder);
}

/// The files of all inputs with their sizes and checksums, once each.
StatusOr<std::vector<snapshot::SnapshotFile>> FilesOf(
    const std::vector<const KeyedRestoreInput*>& inputs) {
  std::map<std::string, snapshot::LoadedSnapshot> by_directory;
  for (const KeyedRestoreInput* input : inputs) {
    snapshot::LoadedSnapshot& part = by_directory[input->base_directory];
    part.directory = input->base_directory;
    part.metadata.operators.emplace_back().subtasks[0].managed_keyed_state = input->handle;
  }
  std::vector<snapshot::SnapshotFile> files;
  for (const auto& [directory, part] : by_directory) {
    ASSIGN_OR_RETURN(const std::vector<snapshot::SnapshotFile> named, snapshot::StateFilesOf(part));
    files.insert(files.end(), named.begin(), named.end());
  }
  return files;
}

/// `inputs` hold key groups of the subtask.
StatusOr<RestoredKeyedState> BuildState(const RocksDbStore::Options& store_options,
                                        KeyGroupRange key_groups, int max_parallelism,
                                        std::vector<const KeyedRestoreInput*> inputs,
                                        const snapshot::FileChecksums& checksums,
                                        snapshot::FileVerifier& verifier) {
  if (inputs.size() == 1) {
    const auto* files = std::get_if<IncrementalHandle>(&inputs[0]->handle);
    if (files != nullptr && files->range() == key_groups) {
      return OpenFiles(store_options, *files, inputs[0]->base_directory, checksums, verifier);
    }
  }
  std::sort(inputs.begin(), inputs.end(), [](const auto* a, const auto* b) {
    return snapshot::KeyGroupsOf(a->handle).start < snapshot::KeyGroupsOf(b->handle).start;
  });
  RestoredKeyedState out;
  ASSIGN_OR_RETURN(out.store, RocksDbStore::Open(store_options));
  StateBuilder builder(out.store.get());
  int next_group = key_groups.start;
  for (const KeyedRestoreInput* input : inputs) {
    const KeyGroupRange range = snapshot::KeyGroupsOf(input->handle).Intersect(key_groups);
    if (range.start < next_group) {
      return DataLoss("key group {} is in two states of the snapshot", range.start);
    }
    next_group = range.end + 1;
    RETURN_IF_ERROR(ReadInput(*input, range, max_parallelism, store_options.directory, verifier,
                              &out.header, &builder));
  }
  RETURN_IF_ERROR(builder.Finish(out.header));
  return out;
}

}  // namespace

std::string KeyGroupPrefix(int key_group, int max_parallelism) {
  std::string out;
  if (max_parallelism > 128) out.push_back(static_cast<char>(key_group >> 8));
  out.push_back(static_cast<char>(key_group));
  return out;
}

StatusOr<RestoredKeyedState> RestoreKeyedState(const RocksDbStore::Options& store_options,
                                               KeyGroupRange key_groups, int max_parallelism,
                                               const std::vector<KeyedRestoreInput>& all_inputs,
                                               WorkerPool* pool) {
  std::vector<const KeyedRestoreInput*> inputs;
  for (const KeyedRestoreInput& input : all_inputs) {
    if (!snapshot::KeyGroupsOf(input.handle).Intersect(key_groups).empty()) {
      inputs.push_back(&input);
    }
  }
  if (!inputs.empty()) RETURN_IF_ERROR(Failpoint("state.restoring", inputs[0]->base_directory));
  ASSIGN_OR_RETURN(std::vector<snapshot::SnapshotFile> files, FilesOf(inputs));
  const snapshot::FileChecksums checksums = snapshot::ChecksumsOf(files);
  snapshot::FileVerifier verifier(pool);
  verifier.Start(std::move(files));
  StatusOr<RestoredKeyedState> restored = BuildState(store_options, key_groups, max_parallelism,
                                                     std::move(inputs), checksums, verifier);
  // Says better what is wrong than whatever stumbled over it.
  const Status intact = verifier.Wait();
  if (intact.code() == absl::StatusCode::kNotFound) return DataLoss("{}", Message(intact));
  RETURN_IF_ERROR(intact);
  return restored;
}

}  // namespace flink::taskmanager
