#include "common/snapshot/keyed_state_rows.h"

#include <string>

#include "common/snapshot/java_data.h"
#include "common/snapshot/snappy_frames.h"

namespace flink::snapshot {
namespace {

Status WalkGroup(const KeyedStateHeader& header, JavaReader& in, const VisitRow& visit) {
  ASSIGN_OR_RETURN(uint16_t state, in.ReadU16("state id"));
  std::string unmarked;
  while (state != kEndOfGroup) {
    if (state >= header.states.size()) {
      return in.Error(in.offset(), "expected a state id below {}, found {}", header.states.size(),
                      state);
    }
    ASSIGN_OR_RETURN(const std::string_view stored, in.ReadSizedBytes("key"));
    if (stored.empty()) return in.Error(in.offset(), "a key is empty");
    std::string_view key = stored;
    const bool follows = (static_cast<uint8_t>(stored[0]) & kMetadataFollows) != 0;
    if (follows) {
      unmarked.assign(stored);
      unmarked[0] = static_cast<char>(static_cast<uint8_t>(stored[0]) & ~kMetadataFollows);
      key = unmarked;
    }
    ASSIGN_OR_RETURN(const std::string_view value, in.ReadSizedBytes("value"));
    RETURN_IF_ERROR(visit(state, key, value));
    if (follows) {
      ASSIGN_OR_RETURN(state, in.ReadU16("next state id"));
    }
  }
  return OkStatus();
}

}  // namespace

Status ForEachRow(const KeyedStateHeader& header, std::string_view stream, int64_t offset,
                  int64_t end, const VisitRow& visit) {
  if (offset == 0) return OkStatus();
  const auto size = static_cast<int64_t>(stream.size());
  if (offset < 0 || offset > size || end < offset || end > size) {
    return DataLoss("a key group from {} to {} does not lie in the stream of {} bytes", offset, end,
                    size);
  }
  const auto begin = static_cast<size_t>(offset);
  if (!header.compressed) {
    JavaReader in(stream.substr(begin), begin);
    return WalkGroup(header, in, visit);
  }
  ASSIGN_OR_RETURN(
      const std::string plain,
      DecompressFrames(stream.substr(begin, static_cast<size_t>(end - offset)), begin));
  JavaReader in(plain);
  return WalkGroup(header, in, visit);
}

}  // namespace flink::snapshot
