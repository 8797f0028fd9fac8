// Text files into running sums, for savepoints of the text file source in Apache Flink's format.
//
//   --input PATH [--output DIR] [--rate R] [--whole-files] [--split-bytes B]
//       lines "word number" -> running sum of the numbers per word -> files "word,sum"; without
//       --output, no state but that of the source (uid "source") and the sums (uid "count")

#include <cstdint>
#include <string>

#include "flink/connector/file_sink.h"
#include "flink/connector/file_source.h"
#include "flink/data_stream.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

struct WordSum {
  std::string word;
  int32_t sum = 0;
};
FLINK_FIELDS(WordSum, word, sum)

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  flink::TextFileSource source(parameters.GetRequired("input"),
                               {.records_per_second = parameters.GetDouble("rate", 0)});
  if (parameters.Has("whole-files")) source = source.WithWholeFiles();
  if (parameters.Has("split-bytes"))
    source = source.WithSplitBytes(parameters.GetLong("split-bytes", 0));
  env.SetJobName("TextFiles");
  const auto sums = env.FromSource(source, "lines")
                        .Uid("source")
                        .Map([](const std::string& line) {
                          const size_t space = line.find(' ');
                          return WordSum{line.substr(0, space), std::stoi(line.substr(space + 1))};
                        })
                        .KeyBy(&WordSum::word)
                        .Sum(&WordSum::sum)
                        .Uid("count");
  if (!parameters.Has("output")) {
    sums.SinkTo(flink::DiscardingSink<WordSum>());
    return;
  }
  sums.Map([](const WordSum& w) { return w.word + "," + std::to_string(w.sum); })
      .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
      .Uid("sink");
}
