#include "tests/integration/word_count_output.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "tests/testing/external_cluster.h"

namespace flink::testing {

namespace fs = std::filesystem;

std::string DataDirectory() { return std::string(FLINK_SOURCE_DIR) + "/../shared/data"; }

bool BooksArePresent() { return fs::exists(DataDirectory() + "/books/books.tar.gz"); }

std::string UnpackBooks(const std::string& directory) {
  fs::create_directories(directory);
  RunCommand({"tar", "xzf", DataDirectory() + "/books/books.tar.gz", "-C", directory});
  return directory + "/books";
}

std::vector<std::string> CommittedLines(const std::string& directory) {
  std::vector<std::string> lines;
  if (!fs::exists(directory)) return lines;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename().string().rfind("part-", 0) != 0) continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) lines.push_back(line);
  }
  return lines;
}

bool HasCommittedLines(const std::string& directory) {
  if (!fs::exists(directory)) return false;
  return std::any_of(fs::recursive_directory_iterator(directory),
                     fs::recursive_directory_iterator(), [](const auto& entry) {
                       return entry.path().filename().string().rfind("part-", 0) == 0 &&
                              entry.file_size() > 0;
                     });
}

std::vector<std::string> DifferencesFromTruth(const std::string& output_directory) {
  std::map<std::string, int> expected;
  std::istringstream truth(
      RunCommand({"zcat", DataDirectory() + "/truth/T1_wordcount_full.csv.gz"}).out);
  std::string line;
  std::getline(truth, line);
  while (std::getline(truth, line)) {
    const size_t comma = line.rfind(',');
    expected[line.substr(0, comma)] = std::atoi(line.c_str() + comma + 1);
  }
  std::map<std::string, std::vector<int>> got;
  for (const std::string& l : CommittedLines(output_directory)) {
    const size_t comma = l.rfind(',');
    got[l.substr(0, comma)].push_back(
        comma == std::string::npos ? -1 : std::atoi(l.c_str() + comma + 1));
  }
  std::vector<std::string> differences;
  if (expected.empty()) differences.push_back("the expected counts could not be read");
  const auto differ = [&](const std::string& text) {
    if (differences.size() < 10) differences.push_back(text);
  };
  for (auto& [word, numbers] : got) {
    const auto it = expected.find(word);
    if (it == expected.end()) {
      differ("unexpected word \"" + word + "\"");
      continue;
    }
    std::sort(numbers.begin(), numbers.end());
    if (static_cast<int>(numbers.size()) != it->second) {
      differ(word + ": " + std::to_string(numbers.size()) + " updates instead of " +
             std::to_string(it->second));
    }
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (numbers[i] == static_cast<int>(i) + 1) continue;
      differ(word + ": update " + std::to_string(i + 1) + " is " + std::to_string(numbers[i]));
      break;
    }
  }
  for (const auto& [word, count] : expected) {
    if (got.find(word) == got.end())
      differ("missing word \"" + word + "\" (" + std::to_string(count) + ")");
  }
  return differences;
}

std::string SavepointPathIn(const std::string& output) {
  const size_t at = output.find("file:/");
  if (at == std::string::npos) return "";
  std::string path = output.substr(at, output.find_first_of(" \n", at) - at);
  if (!path.empty() && path.back() == '.') path.pop_back();
  return path;
}

}  // namespace flink::testing
