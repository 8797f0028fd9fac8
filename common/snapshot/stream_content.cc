#include "common/snapshot/stream_content.h"

#include <utility>

#include "common/io/file_system.h"
#include "common/io/readable_file.h"
#include "common/snapshot/snapshot_files.h"

namespace flink::snapshot {
namespace {

struct Place {
  std::string path;
  uint64_t start = 0;
  uint64_t size = 0;
};

/// Where the bytes of a stream with a file are. They were all there just now.
StatusOr<Place> PlaceOf(const StreamStateHandle& stream, const std::string& directory) {
  if (std::holds_alternative<OpaqueStreamHandle>(stream)) return NestedFormProblem();
  Place place;
  ASSIGN_OR_RETURN(place.path, LocateFile(stream, directory));
  ASSIGN_OR_RETURN(const uint64_t file_size, io::ReadableFileSize(place.path));
  place.size = static_cast<uint64_t>(StreamSize(stream));
  if (const auto* segment = std::get_if<FileSegmentHandle>(&stream)) {
    place.start = static_cast<uint64_t>(segment->start);
    if (place.start > file_size || place.size > file_size - place.start) {
      return DataLoss("the state file {} has {} bytes, its snapshot names {} from {}", place.path,
                      file_size, place.size, place.start);
    }
  } else if (file_size != place.size) {
    return DataLoss("the state file {} has {} bytes, its snapshot says {}", place.path, file_size,
                    place.size);
  }
  return place;
}

bool IsEmpty(const StreamStateHandle& stream) {
  return stream.index() == 0 || std::holds_alternative<EmptySegmentHandle>(stream);
}

}  // namespace

StatusOr<StreamContent> OpenStream(const StreamStateHandle& stream, const std::string& directory) {
  StreamContent content;
  if (IsEmpty(stream)) return content;
  if (const auto* in_place = std::get_if<InlineHandle>(&stream)) {
    content.bytes = in_place->bytes;
    return content;
  }
  ASSIGN_OR_RETURN(const Place place, PlaceOf(stream, directory));
  ASSIGN_OR_RETURN(content.file, io::MappedFile::Open(place.path));
  content.bytes = content.file.bytes();
  if (place.start > content.bytes.size() || place.size > content.bytes.size() - place.start) {
    return DataLoss("the state file {} becomes shorter while it is read", place.path);
  }
  content.bytes = content.bytes.substr(place.start, place.size);
  return content;
}

StatusOr<StreamRanges> StreamRanges::Open(const StreamStateHandle& stream,
                                          const std::string& directory) {
  if (IsEmpty(stream)) return StreamRanges(std::string_view());
  if (const auto* in_place = std::get_if<InlineHandle>(&stream)) {
    return StreamRanges(in_place->bytes);
  }
  ASSIGN_OR_RETURN(Place place, PlaceOf(stream, directory));
  StreamRanges ranges{std::string_view()};
  ranges.path_ = std::move(place.path);
  ranges.start_ = place.start;
  ranges.size_ = place.size;
  return ranges;
}

StatusOr<std::string> StreamRanges::Read(uint64_t offset, uint64_t length) const {
  if (offset > size_ || length > size_ - offset) {
    return DataLoss("{} bytes from {} do not lie in the stream of {} bytes", length, offset, size_);
  }
  if (path_.empty()) return std::string(bytes_.substr(offset, length));
  return io::ReadFileRange(path_, start_ + offset, length);
}

}  // namespace flink::snapshot
