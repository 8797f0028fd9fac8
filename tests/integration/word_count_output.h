#pragma once

/// The books, their word counts, and what an output directory of WordCount must hold.

#include <string>
#include <vector>

namespace flink::testing {

/// The data directory beside the source tree; tests read it in place.
std::string DataDirectory();
bool BooksArePresent();
/// Unpacks the books below `directory`; returns the directory with the texts.
std::string UnpackBooks(const std::string& directory);

/// All lines of all committed files (part-…) below `directory`, in no particular order.
std::vector<std::string> CommittedLines(const std::string& directory);
bool HasCommittedLines(const std::string& directory);

/// Up to ten readable differences between the committed output and "each word, every number from 1
/// to its count, exactly once"; empty when there is none.
std::vector<std::string> DifferencesFromTruth(const std::string& output_directory);

/// The path that `cancel -s` or `savepoint` printed, or "".
std::string SavepointPathIn(const std::string& output);

}  // namespace flink::testing
