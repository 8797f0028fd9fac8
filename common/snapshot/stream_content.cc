#include "common/snapshot/stream_content.h"

#include "common/snapshot/snapshot_files.h"

namespace flink::snapshot {

StatusOr<StreamContent> OpenStream(const StreamStateHandle& stream, const std::string& directory) {
  StreamContent content;
  if (stream.index() == 0 || std::holds_alternative<EmptySegmentHandle>(stream)) return content;
  if (const auto* in_place = std::get_if<InlineHandle>(&stream)) {
    content.bytes = in_place->bytes;
    return content;
  }
  ASSIGN_OR_RETURN(const std::string path, LocateFile(stream, directory));
  ASSIGN_OR_RETURN(content.file, io::MappedFile::Open(path));
  content.bytes = content.file.bytes();
  const auto size = static_cast<uint64_t>(StreamSize(stream));
  if (const auto* segment = std::get_if<FileSegmentHandle>(&stream)) {
    const auto start = static_cast<uint64_t>(segment->start);
    if (start > content.bytes.size() || size > content.bytes.size() - start) {
      return DataLoss("the state file {} has {} bytes, its snapshot names {} from {}", path,
                      content.bytes.size(), size, start);
    }
    content.bytes = content.bytes.substr(start, size);
  } else if (content.bytes.size() != size) {
    return DataLoss("the state file {} has {} bytes, its snapshot says {}", path,
                    content.bytes.size(), size);
  }
  return content;
}

}  // namespace flink::snapshot
