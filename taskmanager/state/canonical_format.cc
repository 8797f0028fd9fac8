#include "taskmanager/state/canonical_format.h"

#include <algorithm>
#include <functional>

#include "common/snapshot/heap_state.h"
#include "common/snapshot/keyed_state_rows.h"
#include "common/snapshot/state_form.h"

namespace flink::taskmanager {
namespace {

constexpr size_t kBufferBytes = 1 << 20;
constexpr int kEndOfGroup = 0xffff;
/// Set in the first key byte of a row that is followed by a state id or the end mark.
constexpr unsigned char kMetadataFollows = 0x80;

}  // namespace

CanonicalWriter::CanonicalWriter(Options options, std::string_view header)
    : options_(std::move(options)), offsets_(static_cast<size_t>(options_.key_groups.size()), 0) {
  buffer_.PutBytes(header);
}

Status CanonicalWriter::WriteOut() {
  if (!file_.is_open()) RETURN_IF_ERROR(file_.Create(options_.path));
  const std::string_view bytes = buffer_.view();
  checksum_.Update(bytes);
  RETURN_IF_ERROR(file_.Append(bytes));
  written_ += static_cast<int64_t>(bytes.size());
  buffer_.Clear();
  return OkStatus();
}

Status CanonicalWriter::EndRow(int next_state) {
  if (row_open_ && next_state != state_) {
    char& first = buffer_.MutableData()[row_first_key_byte_];
    first = static_cast<char>(static_cast<unsigned char>(first) | kMetadataFollows);
    buffer_.Put<uint16_t>(static_cast<uint16_t>(next_state));
  }
  row_open_ = false;
  return buffer_.size() >= kBufferBytes ? WriteOut() : OkStatus();
}

Status CanonicalWriter::Add(int key_group, int state_id, std::string_view key,
                            std::string_view value) {
  const bool new_group = key_group != group_;
  RETURN_IF_ERROR(EndRow(new_group ? kEndOfGroup : state_id));
  if (new_group) {
    offsets_[static_cast<size_t>(key_group - options_.key_groups.start)] =
        written_ + static_cast<int64_t>(buffer_.size());
    buffer_.Put<uint16_t>(static_cast<uint16_t>(state_id));
  }
  group_ = key_group;
  state_ = state_id;
  buffer_.Put<uint32_t>(static_cast<uint32_t>(key.size()));
  row_first_key_byte_ = buffer_.size();
  row_open_ = true;
  buffer_.PutBytes(key);
  buffer_.Put<uint32_t>(static_cast<uint32_t>(value.size()));
  buffer_.PutBytes(value);
  return OkStatus();
}

StatusOr<CanonicalStream> CanonicalWriter::Finish() {
  RETURN_IF_ERROR(EndRow(kEndOfGroup));
  CanonicalStream stream;
  stream.offsets = std::move(offsets_);
  if (!file_.is_open() && buffer_.size() <= options_.inline_threshold_bytes) {
    stream.size = static_cast<int64_t>(buffer_.size());
    stream.bytes = buffer_.TakeString();
    return stream;
  }
  RETURN_IF_ERROR(WriteOut());
  stream.size = written_;
  stream.checksum = checksum_.Digest();
  RETURN_IF_ERROR(file_.Finish());
  return stream;
}

Status CanonicalReader::Open(const snapshot::KeyGroupsHandle& handle,
                             const std::string& base_directory) {
  handle_ = handle;
  if (std::holds_alternative<snapshot::InlineHandle>(handle_.stream)) {
    name_ = "keyed state in the snapshot's metadata";
  } else {
    ASSIGN_OR_RETURN(name_, snapshot::ResolveStreamPath(handle_.stream, base_directory));
  }
  ASSIGN_OR_RETURN(content_, snapshot::OpenStream(handle_.stream, base_directory));
  bytes_ = content_.bytes;
  auto header = snapshot::ParseKeyedStateHeader(bytes_);
  if (!header.ok()) return With(header.status(), "reading {}", name_);
  header_ = std::move(header).value();
  // Before Flink 1.13 rows had the handle of the heap's key groups.
  ASSIGN_OR_RETURN(const bool rows,
                   snapshot::HoldsRows(handle_, header_, snapshot::StreamRanges(bytes_)));
  if (!rows) {
    return InvalidArgument("the keyed state {}", snapshot::kHeapForm);
  }
  return OkStatus();
}

Status CanonicalReader::ReadGroup(int key_group, std::string_view prefix, Group* group) const {
  group->rows.clear();
  group->copies.clear();
  // What does not stand in the stream as it is: keys that carry a mark, and compressed rows.
  const auto keep = [this, group](std::string_view part) -> std::string_view {
    const std::less<const char*> before;
    const bool stays = !before(part.data(), bytes_.data()) &&
                       !before(bytes_.data() + bytes_.size(), part.data() + part.size());
    return stays ? part : group->copies.emplace_back(part);
  };
  const int64_t offset = handle_.offsets[static_cast<size_t>(key_group - handle_.start_key_group)];
  auto end = static_cast<int64_t>(bytes_.size());
  for (const int64_t other : handle_.offsets) {
    if (other > offset) end = std::min(end, other);
  }
  const Status read = snapshot::ForEachRow(
      header_, bytes_, offset, end, [&](int state, std::string_view key, std::string_view value) {
        group->rows.push_back({state, keep(key), keep(value)});
        return OkStatus();
      });
  if (!read.ok()) return With(read, "reading {}, key group {}", name_, key_group);
  const auto before = [](const Row& a, const Row& b) {
    return a.state != b.state ? a.state < b.state : a.key < b.key;
  };
  std::vector<Row>& rows = group->rows;
  // As the stores that keep rows sorted write them.
  if (!std::is_sorted(rows.begin(), rows.end(), before)) {
    std::sort(rows.begin(), rows.end(), before);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].key.starts_with(prefix)) {
      return DataLoss("{}: a key of another key group stands in key group {}", name_, key_group);
    }
    if (i != 0 && !before(rows[i - 1], rows[i])) {
      return DataLoss("{}: key group {} has a key of state {} twice", name_, key_group,
                      header_.states[static_cast<size_t>(rows[i].state)].name);
    }
  }
  return OkStatus();
}

}  // namespace flink::taskmanager
