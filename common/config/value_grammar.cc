// The notation of values: durations and sizes, as Flink's configuration files write them.

#include <array>
#include <charconv>
#include <limits>

#include "common/config/configuration.h"

namespace flink {
namespace {

std::string_view Trim(std::string_view text) {
  const char* spaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

/// Splits "12 min" into number and lower-case unit; false without a number that fits.
bool SplitNumber(std::string_view text, uint64_t* number, std::string* unit) {
  text = Trim(text);
  const char* end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, *number);
  if (result.ec != std::errc() || result.ptr == text.data()) return false;
  *unit = Lower(Trim(std::string_view(result.ptr, static_cast<size_t>(end - result.ptr))));
  return true;
}

struct Unit {
  std::string_view name;
  double factor;
};

/// Nanoseconds per unit.
constexpr std::array kDurationUnits = {
    Unit{"ns", 1},       Unit{"nano", 1},          Unit{"nanosecond", 1}, Unit{"µs", 1e3},
    Unit{"micro", 1e3},  Unit{"microsecond", 1e3}, Unit{"", 1e6},         Unit{"ms", 1e6},
    Unit{"milli", 1e6},  Unit{"millisecond", 1e6}, Unit{"s", 1e9},        Unit{"sec", 1e9},
    Unit{"second", 1e9}, Unit{"m", 60e9},          Unit{"min", 60e9},     Unit{"minute", 60e9},
    Unit{"h", 3600e9},   Unit{"hour", 3600e9},     Unit{"d", 86400e9},    Unit{"day", 86400e9}};

/// ISO-8601: PnDTnHnMn.nS; nanoseconds, or a negative number for other text.
double ParseIsoDuration(std::string_view text) {
  const std::string upper = [&] {
    std::string s(text);
    for (char& c : s) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return s;
  }();
  double total = 0;
  bool time_part = false;
  bool any = false;
  for (size_t i = 1; i < upper.size();) {
    if (upper[i] == 'T' && !time_part) {
      time_part = true;
      ++i;
      continue;
    }
    double number = 0;
    const char* begin = upper.data() + i;
    const char* end = upper.data() + upper.size();
    const std::from_chars_result result =
        std::from_chars(begin, end, number, std::chars_format::fixed);
    if (result.ec != std::errc() || result.ptr == end || number < 0) return -1;
    const char unit = *result.ptr;
    if (unit == 'D' && !time_part) {
      total += number * 86400e9;
    } else if (unit == 'H' && time_part) {
      total += number * 3600e9;
    } else if (unit == 'M' && time_part) {
      total += number * 60e9;
    } else if (unit == 'S' && time_part) {
      total += number * 1e9;
    } else {
      return -1;
    }
    any = true;
    i = static_cast<size_t>(result.ptr - upper.data()) + 1;
  }
  return any ? total : -1;
}

}  // namespace

StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const std::string_view trimmed = Trim(text);
  double nanoseconds = -1;
  if (!trimmed.empty() && (trimmed.front() == 'P' || trimmed.front() == 'p')) {
    nanoseconds = ParseIsoDuration(trimmed);
  } else {
    uint64_t number = 0;
    std::string unit;
    if (SplitNumber(trimmed, &number, &unit)) {
      for (const Unit& known : kDurationUnits) {
        const bool plural = unit.size() > 3 && unit.back() == 's' &&
                            std::string_view(unit).substr(0, unit.size() - 1) == known.name;
        if (unit == known.name || plural) nanoseconds = static_cast<double>(number) * known.factor;
      }
    }
  }
  constexpr double kMax = static_cast<double>(std::numeric_limits<int64_t>::max());
  if (nanoseconds < 0 || nanoseconds / 1e6 > kMax) {
    return InvalidArgument("\"{}\" is not a duration; write it as \"10 s\", \"500 ms\", \"1 min\"",
                           text);
  }
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365 * 100);
  if (nanoseconds / 1e6 >= static_cast<double>(kLongest.count())) return kLongest;
  return std::chrono::milliseconds(static_cast<int64_t>(nanoseconds / 1e6));
}

StatusOr<uint64_t> ParseMemorySize(std::string_view text) {
  struct SizeUnit {
    std::string_view name;
    int shift;
  };
  static constexpr std::array kUnits = {
      SizeUnit{"", 0},   SizeUnit{"b", 0},   SizeUnit{"bytes", 0},
      SizeUnit{"k", 10}, SizeUnit{"kb", 10}, SizeUnit{"kibibytes", 10},
      SizeUnit{"m", 20}, SizeUnit{"mb", 20}, SizeUnit{"mebibytes", 20},
      SizeUnit{"g", 30}, SizeUnit{"gb", 30}, SizeUnit{"gibibytes", 30},
      SizeUnit{"t", 40}, SizeUnit{"tb", 40}, SizeUnit{"tebibytes", 40}};
  uint64_t number = 0;
  std::string unit;
  if (SplitNumber(text, &number, &unit)) {
    for (const SizeUnit& known : kUnits) {
      if (unit == known.name && number <= (std::numeric_limits<uint64_t>::max() >> known.shift)) {
        return number << known.shift;
      }
    }
  }
  return InvalidArgument(
      "\"{}\" is not a memory size; write it as \"128mb\", \"1 gb\", \"4096\" (bytes)", text);
}

}  // namespace flink
