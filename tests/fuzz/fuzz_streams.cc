#include <cstddef>
#include <cstdint>

#include "tests/fuzz/snapshot_inputs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flink::fuzz::ReadStreams({reinterpret_cast<const char*>(data), size});
  return 0;
}
