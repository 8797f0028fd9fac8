#include "cli/error_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>
#include <vector>

namespace flink::cli {
namespace {

constexpr char kDetailsUrl[] = "flink.cli/details";

/// The length of "package.of.ClassName" at the begin of a text, 0 when there is none.
size_t ClassNameLength(std::string_view text) {
  size_t end = 0;
  bool dotted = false;
  size_t last_part = 0;
  while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                               text[end] == '_' || text[end] == '$' || text[end] == '.')) {
    if (text[end] == '.') {
      dotted = true;
      last_part = end + 1;
    }
    ++end;
  }
  const bool named_like_a_class =
      last_part < end && std::isupper(static_cast<unsigned char>(text[last_part])) != 0;
  const bool ends = end == text.size() || text[end] == ':' || text[end] == '\n';
  return dotted && named_like_a_class && ends ? end : 0;
}

struct NamedMessage {
  std::string class_name;  ///< Last part only.
  std::string message;
};

NamedMessage StripClassNames(std::string_view line) {
  NamedMessage result;
  while (const size_t length = ClassNameLength(line)) {
    std::string_view name = line.substr(0, length);
    name.remove_prefix(name.rfind('.') + 1);
    name.remove_prefix(std::min(name.size(), name.find('$') + 1));
    result.class_name = std::string(name);
    line.remove_prefix(length);
    while (line.starts_with(":") || line.starts_with(" ")) line.remove_prefix(1);
  }
  result.message = std::string(line);
  return result;
}

/// What a checkpoint failure says besides its cause; nothing that helps beside the cause itself.
constexpr std::string_view kIoProblem =
    "An Exception occurred while triggering the checkpoint. IO-problem detected.";

std::string WithoutIoProblem(const std::string& text) {
  const std::string suffix = " Failure reason: " + std::string(kIoProblem);
  if (text.size() > suffix.size() && text.ends_with(suffix)) {
    return text.substr(0, text.size() - suffix.size());
  }
  return text;
}

/// An exception and its causes, outermost first; lines that continue a message joined to it.
std::vector<NamedMessage> ParseCauses(std::string_view stack_trace) {
  constexpr std::string_view kCausedBy = "Caused by: ";
  std::vector<NamedMessage> causes;
  while (!stack_trace.empty()) {
    const size_t newline = std::min(stack_trace.find('\n'), stack_trace.size());
    std::string_view line = stack_trace.substr(0, newline);
    stack_trace.remove_prefix(std::min(newline + 1, stack_trace.size()));
    if (line.empty() || line.starts_with("\t")) continue;
    const bool cause = line.starts_with(kCausedBy);
    if (cause) line.remove_prefix(kCausedBy.size());
    if (cause || causes.empty()) {
      causes.push_back(StripClassNames(line));
    } else {
      causes.back().message += " " + std::string(line);
    }
  }
  return causes;
}

}  // namespace

std::string CauseText(std::string_view stack_trace) {
  const std::vector<NamedMessage> causes = ParseCauses(stack_trace);
  std::string text;
  for (const NamedMessage& cause : causes) {
    const bool last = &cause == &causes.back();
    if (cause.message == kIoProblem && !last) continue;
    if (text.find(cause.message) != std::string::npos) continue;
    if (text.ends_with(".")) text.pop_back();
    text += (text.empty() ? "" : ": ") + cause.message;
  }
  if (text.empty() && !causes.empty()) return causes.back().class_name;
  return WithoutIoProblem(text);
}

std::string_view Advice(std::string_view error) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kAdvice = {{
      // Says itself what to do, and may stand behind what comes below.
      {"Could not find a file system implementation", ""},
      {"Could not find Flink job", "\"flink list -a\" shows the jobs of this cluster."},
      {"Job could not be found", "\"flink list -a\" shows the jobs of this cluster."},
      {"savepoint-dir] is not set", "Name a directory on the command line."},
      {"minimum required resources",
       "Start more TaskManagers (bin/taskmanager.sh start), cancel another job, or lower -p."},
      {"Failed to create savepoint directory",
       "Choose a directory that the JobManager and the TaskManagers can write."},
  }};
  for (const auto& entry : kAdvice) {
    if (error.find(entry.first) != std::string_view::npos) return entry.second;
  }
  return "";
}

Status WithDetails(Status status, std::string_view details) {
  if (!status.ok() && !details.empty()) {
    status.SetPayload(kDetailsUrl, absl::Cord(absl::string_view(details.data(), details.size())));
  }
  return status;
}

std::string Details(const Status& status) {
  const auto payload = status.GetPayload(kDetailsUrl);
  return payload.has_value() ? std::string(*payload) : std::string();
}

Status WithContext(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  std::string text(context);
  const std::string message = Message(status);
  if (!message.empty()) {
    if (text.ends_with(".")) text.pop_back();
    text += ": " + message;
  }
  return WithDetails(MakeStatus(status.code(), "{}", text), Details(status));
}

}  // namespace flink::cli
