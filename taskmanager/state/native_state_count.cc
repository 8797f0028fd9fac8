#include "taskmanager/state/native_state_count.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/snapshot_files.h"
#include "taskmanager/state/keyed_state_restore.h"
#include "taskmanager/state/rocksdb_files.h"

namespace flink::taskmanager {
namespace {

using snapshot::IncrementalHandle;
using Json = nlohmann::ordered_json;

struct Count {
  int64_t entries = 0;
  int64_t bytes = 0;
};
using Counts = std::map<std::string, Count>;

/// Makes `directory` look like the instance: links to its files, which are only read.
Status Assemble(const IncrementalHandle& handle, const std::string& snapshot_directory,
                const std::string& directory) {
  RETURN_IF_ERROR(io::CreateDirectories(directory));
  for (const auto* files : {&handle.shared_files, &handle.private_files}) {
    for (const snapshot::LocalFile& file : *files) {
      const std::string target = io::JoinPath(directory, io::BaseName(file.local_name));
      if (const auto* in_place = std::get_if<snapshot::InlineHandle>(&file.stream)) {
        RETURN_IF_ERROR(io::WriteFileDurably(target, in_place->bytes));
        continue;
      }
      ASSIGN_OR_RETURN(const std::string source,
                       snapshot::LocateFile(file.stream, snapshot_directory));
      if (::symlink(source.c_str(), target.c_str()) != 0) {
        return Unavailable("cannot link {}: {}", target, std::strerror(errno));
      }
    }
  }
  return OkStatus();
}

Status CountFamily(rocksdb::Iterator* it, const std::string& family, KeyGroupRange range,
                   int max_parallelism, Count* count) {
  // What another subtask owns may still be in the files.
  const std::string begin = KeyGroupPrefix(range.start, max_parallelism);
  const std::string last = KeyGroupPrefix(range.end, max_parallelism);
  for (it->Seek(begin); it->Valid(); it->Next()) {
    const std::string_view key = ToView(it->key());
    if (key.substr(0, last.size()) > last) break;
    ++count->entries;
    count->bytes += static_cast<int64_t>(key.size() + it->value().size());
  }
  return FromRocksDb(it->status(), "reading state " + family);
}

Status CountInstance(const std::string& directory, KeyGroupRange range, int max_parallelism,
                     Counts* counts) {
  ASSIGN_OR_RETURN(const auto files, RocksDbFiles::Open(directory, {}));
  for (const auto& [name, handle] : files->families()) {
    if (name == rocksdb::kDefaultColumnFamilyName) continue;
    RETURN_IF_ERROR(CountFamily(files->NewIterator(name).get(), name, range, max_parallelism,
                                &(*counts)[name]));
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::string> CountNativeState(const std::string& pointer) {
  ASSIGN_OR_RETURN(const snapshot::LoadedSnapshot loaded, snapshot::LoadSnapshot(pointer));
  Json result = Json::object();
  for (const snapshot::OperatorSnapshot& op : loaded.metadata.operators) {
    Counts counts;
    Status status;
    bool native = false;
    for (const auto& [subtask, state] : op.subtasks) {
      const auto* handle = std::get_if<IncrementalHandle>(&state.managed_keyed_state);
      if (handle == nullptr) continue;
      native = true;
      ASSIGN_OR_RETURN(const io::TempDirectory directory,
                       io::TempDirectory::Create("flink-inspect"));
      const std::string instance = directory.File("db");
      status = Assemble(*handle, loaded.directory, instance);
      if (status.ok()) {
        status = CountInstance(instance, handle->range(), op.max_parallelism, &counts);
      }
      if (!status.ok()) {
        status = With(status, "subtask {}", subtask);
        break;
      }
    }
    if (!native) continue;
    Json& entry = result[op.operator_id.ToHex()];
    entry["states"] = Json::object();
    entry["error"] = Message(status);
    if (!status.ok()) continue;
    for (const auto& [name, count] : counts) entry["states"][name] = {count.entries, count.bytes};
  }
  return result.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace flink::taskmanager
