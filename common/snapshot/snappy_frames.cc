#include "common/snapshot/snappy_frames.h"

#include <snappy.h>

#include "common/snapshot/java_data.h"

namespace flink::snapshot {
namespace {

// Chunks of the snappy framing format; compressed ones are of the kind 0.
constexpr uint8_t kPlainChunk = 0x01;
constexpr uint8_t kFirstSkippableChunk = 0x80;
/// A masked CRC in front of the data of a chunk; Flink does not check it either.
constexpr size_t kChunkChecksumBytes = 4;
constexpr size_t kMaxChunkBytes = 65536;

}  // namespace

StatusOr<std::string> DecompressFrames(std::string_view framed, size_t at) {
  JavaReader in(framed, at);
  std::string plain;
  while (in.remaining() > 0) {
    const size_t chunk_at = in.offset();
    ASSIGN_OR_RETURN(const uint8_t kind, in.ReadU8("kind of a snappy chunk"));
    size_t size = 0;
    for (int shift = 0; shift < 24; shift += 8) {
      ASSIGN_OR_RETURN(const uint8_t byte, in.ReadU8("size of a snappy chunk"));
      size |= static_cast<size_t>(byte) << shift;
    }
    ASSIGN_OR_RETURN(std::string_view data, in.ReadBytes(size, "snappy chunk"));
    if (kind >= kFirstSkippableChunk) continue;
    if (kind > kPlainChunk || size < kChunkChecksumBytes) {
      return in.Error(chunk_at, "expected a snappy chunk, found kind {} of {} bytes", kind, size);
    }
    data.remove_prefix(kChunkChecksumBytes);
    if (kind == kPlainChunk) {
      plain.append(data);
      continue;
    }
    size_t expanded = 0;
    std::string part;
    if (!snappy::GetUncompressedLength(data.data(), data.size(), &expanded) ||
        expanded > kMaxChunkBytes || !snappy::Uncompress(data.data(), data.size(), &part)) {
      return in.Error(chunk_at, "a snappy chunk of {} bytes is damaged", size);
    }
    plain.append(part);
  }
  return plain;
}

}  // namespace flink::snapshot
