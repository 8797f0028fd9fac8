#include "taskmanager/state/snapshot_writer.h"

#include <random>

#include "common/base/failpoint.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"

namespace flink::taskmanager {

std::string RandomUuid() {
  thread_local std::mt19937_64 random{[] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32) | device();
  }()};
  const uint64_t high = (random() & ~0xf000ull) | 0x4000ull;
  const uint64_t low = (random() & ~(3ull << 62)) | (2ull << 62);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffull);
}

SnapshotWriter::~SnapshotWriter() {
  for (const std::string& path : written_shared_) {
    IgnoreError(io::RemoveFile(path), "the snapshot failed, and its error says why");
  }
}

StatusOr<snapshot::StreamStateHandle> SnapshotWriter::AddBytes(std::string bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  const std::string name = RandomUuid();
  if (bytes.size() <= inline_threshold_) {
    result_.written_bytes += size;
    result_.state_bytes += size;
    return snapshot::InlineHandle{name, std::move(bytes)};
  }
  const std::string path = io::JoinPath(request_.exclusive_directory, name);
  RETURN_IF_ERROR(io::WriteFileDurably(path, bytes));
  wrote_exclusive_ = true;
  result_.checksums[name] = io::Checksum64(bytes);
  result_.written_bytes += size;
  result_.state_bytes += size;
  return snapshot::RelativeFileHandle{name, size};
}

StatusOr<snapshot::StreamStateHandle> SnapshotWriter::AddFile(const std::string& source,
                                                              std::optional<uint64_t> checksum) {
  ASSIGN_OR_RETURN(const uint64_t bytes, io::FileSize(source));
  const auto size = static_cast<int64_t>(bytes);
  const std::string name = RandomUuid();
  if (bytes <= inline_threshold_) {
    ASSIGN_OR_RETURN(std::string content, io::ReadFile(source));
    result_.written_bytes += size;
    result_.state_bytes += size;
    return snapshot::InlineHandle{name, std::move(content)};
  }
  const bool shared = !request_.shared_directory.empty();
  const std::string path =
      io::JoinPath(shared ? request_.shared_directory : request_.exclusive_directory, name);
  ASSIGN_OR_RETURN(const bool linked, io::LinkOrCopy(source, path));
  if (shared) {
    written_shared_.push_back(path);
  } else {
    wrote_exclusive_ = true;
  }
  if (!checksum.has_value()) {
    // RocksDB syncs table files when it writes them, but not the small ones.
    if (linked) RETURN_IF_ERROR(io::FsyncFile(path));
    ASSIGN_OR_RETURN(checksum, io::Checksum64OfFile(path));
  }
  result_.checksums[shared ? path : name] = *checksum;
  result_.written_bytes += size;
  result_.state_bytes += size;
  if (!shared) return snapshot::RelativeFileHandle{name, size};
  result_.shared_files.push_back(path);
  return snapshot::FileHandle{io::QualifyPath(path), size};
}

snapshot::StreamStateHandle SnapshotWriter::Adopt(const std::string& name, int64_t size,
                                                  uint64_t checksum) {
  wrote_exclusive_ = true;
  result_.checksums[name] = checksum;
  result_.written_bytes += size;
  result_.state_bytes += size;
  return snapshot::RelativeFileHandle{name, size};
}

void SnapshotWriter::AddReused(const UploadedFile& file) {
  const StatusOr<std::string> path = io::ParsePath(file.handle.path);
  result_.shared_files.push_back(path.ok() ? *path : file.handle.path);
  result_.checksums[result_.shared_files.back()] = file.checksum;
  result_.state_bytes += file.handle.size;
}

Status SnapshotWriter::Finish(KeyedSnapshotResult* result) {
  if (wrote_exclusive_) RETURN_IF_ERROR(io::FsyncDirectory(request_.exclusive_directory));
  if (!written_shared_.empty()) RETURN_IF_ERROR(io::FsyncDirectory(request_.shared_directory));
  RETURN_IF_ERROR(Failpoint("snapshot.files-durable", request_.exclusive_directory));
  result_.written_shared_files = std::move(written_shared_);
  written_shared_.clear();
  result_.handle = std::move(result->handle);
  *result = std::move(result_);
  return OkStatus();
}

bool IsTableFile(std::string_view name) { return name.ends_with(".sst"); }

void TableChecksums::Add(const std::map<std::string, uint64_t>& checksums) {
  std::lock_guard lock(mutex_);
  by_name_.insert(checksums.begin(), checksums.end());
}

StatusOr<uint64_t> TableChecksums::Of(const std::string& path) {
  const std::string name = io::BaseName(path);
  {
    std::lock_guard lock(mutex_);
    const auto it = by_name_.find(name);
    if (it != by_name_.end()) return it->second;
  }
  ASSIGN_OR_RETURN(const uint64_t checksum, io::Checksum64OfFile(path));
  std::lock_guard lock(mutex_);
  return by_name_[name] = checksum;
}

void TableChecksums::Keep(const std::set<std::string>& names) {
  std::lock_guard lock(mutex_);
  std::erase_if(by_name_, [&](const auto& entry) { return !names.contains(entry.first); });
}

namespace {

/// Whether the file of an earlier checkpoint can stand in for the local one.
bool CanReuse(const KeyedSnapshotRequest& request, const UploadedFile& earlier,
              const std::string& local) {
  const StatusOr<std::string> path = io::ParsePath(earlier.handle.path);
  if (!path.ok() || io::DirectoryName(*path) != request.shared_directory) return false;
  const StatusOr<uint64_t> there = io::FileSize(*path);
  const StatusOr<uint64_t> here = io::FileSize(local);
  return there.ok() && here.ok() && *there == *here;
}

}  // namespace

StatusOr<KeyedSnapshotResult> WriteNativeSnapshot(
    const KeyedSnapshotRequest& request, uint64_t inline_threshold_bytes,
    const std::string& checkpoint_directory, const std::string& header,
    const std::string& backend_id, KeyGroupRange key_groups, const UploadedFiles& reusable,
    TableChecksums* checksums, UploadedFiles* uploaded) {
  SnapshotWriter writer(request, inline_threshold_bytes);
  const bool incremental = !request.shared_directory.empty();
  snapshot::IncrementalHandle handle;
  handle.checkpoint_id = request.checkpoint_id;
  handle.backend_id = backend_id;
  handle.start_key_group = key_groups.start;
  handle.key_group_count = key_groups.size();
  handle.state_handle_id = RandomUuid();
  ASSIGN_OR_RETURN(const auto entries, io::ListDirectory(checkpoint_directory));
  std::set<std::string> names;
  for (const io::DirectoryEntry& entry : entries) {
    if (entry.is_directory) continue;
    names.insert(entry.name);
    const std::string local = io::JoinPath(checkpoint_directory, entry.name);
    const bool table = IsTableFile(entry.name);
    snapshot::LocalFile file;
    file.local_name = entry.name;
    const auto earlier = reusable.find(entry.name);
    if (table && incremental && !request.full && earlier != reusable.end() &&
        CanReuse(request, earlier->second, local)) {
      writer.AddReused(earlier->second);
      file.stream = earlier->second.handle;
      (*uploaded)[entry.name] = earlier->second;
    } else {
      std::optional<uint64_t> checksum;
      if (table) {
        ASSIGN_OR_RETURN(checksum, checksums->Of(local));
      }
      ASSIGN_OR_RETURN(file.stream, writer.AddFile(local, checksum));
      const auto* stored = std::get_if<snapshot::FileHandle>(&file.stream);
      if (table && incremental && stored != nullptr) {
        ASSIGN_OR_RETURN(const std::string path, io::ParsePath(stored->path));
        (*uploaded)[entry.name] = {*stored, writer.ChecksumOf(path)};
      }
    }
    (table && incremental ? handle.shared_files : handle.private_files).push_back(std::move(file));
  }
  checksums->Keep(names);
  ASSIGN_OR_RETURN(handle.meta, writer.AddBytes(header));
  KeyedSnapshotResult result;
  RETURN_IF_ERROR(writer.Finish(&result));
  handle.checkpointed_size = result.written_bytes;
  result.handle = std::move(handle);
  return result;
}

}  // namespace flink::taskmanager
