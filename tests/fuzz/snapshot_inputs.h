#pragma once

/// What the fuzzers do with an input, shared by libFuzzer and the test that replays the corpus.
/// They abort when a promise of the readers does not hold.

#include <string_view>

namespace flink::fuzz {

/// `_metadata` of a snapshot: what is accepted must be written and read again the same.
void ReadMetadata(std::string_view input);
/// The first byte chooses the reader of one of the other formats.
void ReadStreams(std::string_view input);

}  // namespace flink::fuzz
