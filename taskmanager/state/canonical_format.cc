#include "taskmanager/state/canonical_format.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/io/file_system.h"

namespace flink::taskmanager {
namespace {

constexpr size_t kWriteBytes = 1 << 20;
constexpr int kEndOfGroup = 0xffff;
/// Set in the first key byte of a row that is followed by a state id or the end mark.
constexpr unsigned char kMetadataFollows = 0x80;

void PutU16(std::string& out, int v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v));
}
void PutSized(std::string& out, std::string_view bytes) {
  const auto n = static_cast<uint32_t>(bytes.size());
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
  out.append(bytes);
}

}  // namespace

CanonicalWriter::~CanonicalWriter() {
  if (fd_ >= 0) close(fd_);
}

Status CanonicalWriter::Open(const std::string& path, std::string_view header,
                             KeyGroupRange key_groups) {
  path_ = path;
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd_ < 0) return Internal("creating {}: {}", path, std::strerror(errno));
  key_groups_ = key_groups;
  offsets_.assign(static_cast<size_t>(key_groups.size()), 0);
  buffer_.assign(header);
  return OkStatus();
}

Status CanonicalWriter::WriteOut() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOSPC) return ResourceExhausted("writing {}: disk full", path_);
    if (n < 0) return Internal("writing {}: {}", path_, std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  written_ += static_cast<int64_t>(buffer_.size());
  buffer_.clear();
  return OkStatus();
}

Status CanonicalWriter::WritePending(int next_state) {
  if (has_pending_ && next_state != state_) {
    buffer_[pending_first_key_byte_] = static_cast<char>(
        static_cast<unsigned char>(buffer_[pending_first_key_byte_]) | kMetadataFollows);
    PutU16(buffer_, next_state);
  }
  has_pending_ = false;
  return buffer_.size() >= kWriteBytes ? WriteOut() : OkStatus();
}

Status CanonicalWriter::Add(int key_group, int state_id, std::string_view key,
                            std::string_view value) {
  const bool new_group = key_group != group_;
  RETURN_IF_ERROR(WritePending(new_group ? kEndOfGroup : state_id));
  if (new_group) {
    offsets_[static_cast<size_t>(key_group - key_groups_.start)] =
        written_ + static_cast<int64_t>(buffer_.size());
    PutU16(buffer_, state_id);
  }
  group_ = key_group;
  state_ = state_id;
  pending_first_key_byte_ = buffer_.size() + 4;
  has_pending_ = true;
  PutSized(buffer_, key);
  PutSized(buffer_, value);
  return OkStatus();
}

StatusOr<std::vector<int64_t>> CanonicalWriter::Finish() {
  RETURN_IF_ERROR(WritePending(kEndOfGroup));
  RETURN_IF_ERROR(WriteOut());
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) != 0) return Internal("closing {}: {}", path_, std::strerror(errno));
  return std::move(offsets_);
}

CanonicalReader::~CanonicalReader() {
  if (mapped_ != nullptr) munmap(mapped_, mapped_size_);
}

Status CanonicalReader::Open(const snapshot::KeyGroupsHandle& handle,
                             const std::string& base_directory) {
  handle_ = handle;
  if (const auto* in_place = std::get_if<snapshot::InlineHandle>(&handle.stream)) {
    name_ = "keyed state in the snapshot's metadata";
    inline_bytes_ = in_place->bytes;
    bytes_ = inline_bytes_;
  } else {
    ASSIGN_OR_RETURN(name_, snapshot::ResolveStreamPath(handle.stream, base_directory));
    ASSIGN_OR_RETURN(const uint64_t size, io::FileSize(name_));
    const int64_t expected = snapshot::StreamSize(handle.stream);
    if (static_cast<int64_t>(size) != expected) {
      return DataLoss("{} has {} bytes, the snapshot says {}: the file is damaged or incomplete",
                      name_, size, expected);
    }
    const int fd = open(name_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Internal("opening {}: {}", name_, std::strerror(errno));
    mapped_size_ = size;
    void* const memory = size == 0 ? nullptr : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    close(fd);
    if (memory == MAP_FAILED) return Internal("mapping {}: {}", name_, std::strerror(error));
    mapped_ = memory;
    bytes_ = {static_cast<const char*>(memory), size};
  }
  auto header = snapshot::ParseKeyedStateHeader(bytes_);
  if (!header.ok()) return With(header.status(), "reading {}", name_);
  header_ = std::move(header).value();
  if (header_.compressed) {
    return InvalidArgument(
        "{} was written with snapshot compression, which cannot be read here: take the savepoint "
        "again with execution.checkpointing.snapshot-compression set to false",
        name_);
  }
  return OkStatus();
}

Status CanonicalReader::ForEachRow(
    int key_group,
    const std::function<Status(int, std::string_view, std::string_view)>& visit) const {
  const int64_t offset = handle_.offsets[static_cast<size_t>(key_group - handle_.start_key_group)];
  if (offset == 0) return OkStatus();
  if (offset < 0 || offset > static_cast<int64_t>(bytes_.size())) {
    return DataLoss("{}: key group {} starts at {}, behind the end", name_, key_group, offset);
  }
  snapshot::JavaReader in(bytes_.substr(static_cast<size_t>(offset)), static_cast<size_t>(offset));
  auto read = [&]() -> Status {
    ASSIGN_OR_RETURN(uint16_t state, in.ReadU16("state id"));
    std::string key;
    while (state != kEndOfGroup) {
      if (state >= header_.states.size()) {
        return DataLoss("at offset {}: state id {} of {} states", in.offset(), state,
                        header_.states.size());
      }
      ASSIGN_OR_RETURN(const std::string_view stored, in.ReadSizedBytes("key"));
      if (stored.empty()) return DataLoss("at offset {}: empty key", in.offset());
      key.assign(stored);
      const bool follows = (static_cast<unsigned char>(key[0]) & kMetadataFollows) != 0;
      if (follows) key[0] = static_cast<char>(key[0] & ~kMetadataFollows);
      ASSIGN_OR_RETURN(const std::string_view value, in.ReadSizedBytes("value"));
      RETURN_IF_ERROR(visit(state, key, value));
      if (follows) {
        ASSIGN_OR_RETURN(state, in.ReadU16("next state id"));
      }
    }
    return OkStatus();
  };
  return With(read(), "reading {}, key group {}", name_, key_group);
}

}  // namespace flink::taskmanager
