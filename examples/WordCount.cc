/// Counts the words of text files and writes `word,count` for every occurrence.
///
///     flink run WordCount.so --input <file or directory> --output <directory> [--rate <lines/s per
///     subtask>]
///
/// A word is a run of letters, digits and underscores; capital letters count as small ones.

#include <cstdint>
#include <string>

#include "flink/connector/file_sink.h"
#include "flink/connector/file_source.h"
#include "flink/job.h"

struct WordCount {
  std::string word;
  int32_t count = 0;
};
FLINK_FIELDS(WordCount, word, count)

static void SplitIntoWords(const std::string& line, flink::Collector<WordCount>& out) {
  std::string word;
  for (const char c : line) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '_') {
      word.push_back(lower);
    } else if (!word.empty()) {
      out.Collect({word, 1});
      word.clear();
    }
  }
  if (!word.empty()) out.Collect({word, 1});
}

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  const flink::TextFileSource source(parameters.GetRequired("input"),
                                     {.records_per_second = parameters.GetDouble("rate", 0)});
  env.SetJobName("WordCount");
  env.FromSource(source, "lines")
      .Uid("source")
      .FlatMap(&SplitIntoWords)
      .Name("words")
      .KeyBy(&WordCount::word)
      .Sum(&WordCount::count)
      .Name("count")
      .Uid("count")
      .Map([](const WordCount& w) { return w.word + "," + std::to_string(w.count); })
      .Name("format")
      .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
      .Name("files")
      .Uid("sink");
}
