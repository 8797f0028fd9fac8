#pragma once

/// Exactly-once text files.

#include <memory>
#include <string>

#include "flink/operator.h"

namespace flink {

/// Writes each record as a line into files of a directory, exactly once.
///
///     lines.SinkTo(flink::TextFileSink("/data/out")).Uid("sink");
///
/// What readers see are the files part-…: they appear when the checkpoint that covers their content
/// has completed, whole, and never change. Files that begin with a dot are not finished; pending
/// ones belong to checkpoints and savepoints, so leave them while one that names them may be
/// restored. A restore first publishes the files its snapshot names, also when the job writes to
/// another directory by now.
///
/// Snapshots hold what those of Apache Flink's FileSink do, under the same uids: that of the sink
/// for its writer, "Sink Committer: " and that for its committer. So a job of Flink with
/// FileSink.forRowFormat publishes these files and goes on, and the other way round. What Flink was
/// writing when it took its savepoint appears with the first checkpoint here; Flink's own file
/// stays as it was, for the next restore. Not taken over: files that Flink compacts, and file
/// systems that are not local.
///
/// The directory is created when needed; it may hold files of earlier jobs, which are neither
/// changed nor overwritten. It must be one file system that all processes of the cluster see. Disk
/// errors fail the job, naming file and reason.
class TextFileSink {
 public:
  using Record = std::string;
  static constexpr bool kStateful = true;

  /// `directory` may be a file: URI. A relative path starts where `flink run` was called.
  explicit TextFileSink(const std::string& directory);

  std::unique_ptr<Operator> MakeOperator() const;
  std::unique_ptr<Operator> MakeCommitter() const;
  std::string Name() const { return "Sink: Writer"; }
  void SetWorkingDirectory(const std::string& directory);

 private:
  std::string directory_;
};

}  // namespace flink
