#include "common/snapshot/file_list.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/io/file_system.h"
#include "common/snapshot/side_file.h"

namespace flink::snapshot {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kChecksumKind = "xxh3-64";

StatusOr<uint64_t> ParseChecksum(const Json& value) {
  const std::string hex = value.is_string() ? value.get<std::string>() : std::string();
  uint64_t checksum = 0;
  const char* const end = hex.data() + hex.size();
  const auto parsed = std::from_chars(hex.data(), end, checksum, 16);
  if (hex.size() != 16 || parsed.ec != std::errc() || parsed.ptr != end) {
    return DataLoss("expected a checksum of 16 hexadecimal digits, found \"{}\"", hex);
  }
  return checksum;
}

StatusOr<FileList::File> ParseFile(const Json& entry) {
  FileList::File file;
  if (entry.is_string()) {  // Version 1.
    ASSIGN_OR_RETURN(file.checksum, ParseChecksum(entry));
    return file;
  }
  if (!entry.is_object()) return DataLoss("expected size and checksum");
  const auto size = entry.find("size");
  if (size == entry.end() || !size->is_number_unsigned()) return DataLoss("expected a size");
  file.size = size->get<int64_t>();
  if (file.size < 0) return DataLoss("expected a size, found {}", file.size);
  // A missing checksum must not look like one that was never known.
  const auto checksum = entry.find("checksum");
  if (checksum == entry.end()) return DataLoss("expected a checksum or null");
  if (checksum->is_null()) return file;
  ASSIGN_OR_RETURN(file.checksum, ParseChecksum(*checksum));
  return file;
}

}  // namespace

StatusOr<FileList> ParseFileList(std::string_view side_file) {
  const Json json = Json::parse(side_file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return DataLoss("expected a JSON object");
  const auto version = json.find("format_version");
  if (version == json.end() || !version->is_number_integer() || version->get<int64_t>() < 1) {
    return DataLoss("expected the version of the format");
  }
  if (version->get<int64_t>() > kSideFileVersion) {
    return FailedPrecondition(
        "it has version {}, the newest that is known here is {}: use the release that wrote it",
        version->get<int64_t>(), kSideFileVersion);
  }
  FileList list;
  list.version = version->get<int>();
  const auto kind = json.find("checksum");
  if (kind == json.end() || *kind != kChecksumKind) {
    return DataLoss("expected checksums of the kind {}", kChecksumKind);
  }
  const auto files = json.find("files");
  if (files == json.end() || !files->is_object()) return DataLoss("expected the list of files");
  for (const auto& [name, entry] : files->items()) {
    StatusOr<FileList::File> file = ParseFile(entry);
    if (!file.ok()) return With(file.status(), "{}", name);
    list.files[name] = *file;
  }
  return list;
}

StatusOr<std::optional<FileList>> LoadFileList(const std::string& directory) {
  const std::string path = io::JoinPath(directory, kSideFileName);
  const Status there = io::FileSize(path).status();
  if (there.code() == absl::StatusCode::kNotFound) return std::optional<FileList>();
  ASSIGN_OR_RETURN(const std::string text, io::ReadFile(path));
  StatusOr<FileList> list = ParseFileList(text);
  if (!list.ok()) {
    return With(list.status(), "{}, which holds the checksums of the snapshot, is not usable",
                path);
  }
  return std::optional<FileList>(*std::move(list));
}

}  // namespace flink::snapshot
