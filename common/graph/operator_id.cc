#include "common/graph/operator_id.h"

#include <murmurhash.h>

#include <array>
#include <cstdint>
#include <string>

#include "common/base/check.h"

namespace flink {
namespace {

OperatorId Murmur3(std::string_view bytes) {
  FLINK_CHECK(bytes.size() <= UINT32_MAX, "{} bytes to hash", bytes.size());
  uint64_t words[2];
  lmmh_x64_128(bytes.data(), static_cast<unsigned>(bytes.size()), 0, words);
  // Both words stand in the id with their lowest byte first, whatever the machine's order.
  std::array<uint8_t, 16> id;
  for (size_t i = 0; i < 16; ++i) id[i] = static_cast<uint8_t>(words[i / 8] >> (8 * (i % 8)));
  return OperatorId(id);
}

}  // namespace

OperatorId OperatorIdFromUid(std::string_view uid) { return Murmur3(uid); }

StatusOr<OperatorId> OperatorIdFromUidHash(std::string_view hex) {
  StatusOr<OperatorId> id = OperatorId::FromHex(hex);
  if (!id.ok()) return With(id.status(), "the uid hash of an operator is wrong");
  return id;
}

OperatorId GeneratedOperatorId(int hashes_so_far, int chainable_out_edges,
                               std::span<const OperatorId> inputs) {
  const uint32_t n = static_cast<uint32_t>(hashes_so_far);
  std::string bytes;
  for (int i = 0; i <= chainable_out_edges; ++i) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes.push_back(static_cast<char>((n >> shift) & 0xff));
    }
  }
  std::array<uint8_t, 16> id = Murmur3(bytes).bytes();
  for (const OperatorId& input : inputs) {
    for (size_t i = 0; i < id.size(); ++i) {
      id[i] = static_cast<uint8_t>((id[i] * 37) ^ input.bytes()[i]);
    }
  }
  return OperatorId(id);
}

OperatorId CommitterOperatorId(const OperatorId& writer, std::string_view uid) {
  if (!uid.empty()) return OperatorIdFromUid("Sink Committer: " + std::string(uid));
  return GeneratedOperatorId(0, 0, {&writer, 1});
}

}  // namespace flink
