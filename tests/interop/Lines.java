package interop;

import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.DefaultRollingPolicy;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/**
 * The counterpart in Java of StateTypesJob --case lines: same uids, same types.
 *
 * <p>Lines COUNT OUTPUT_DIRECTORY RECORDS_PER_MILLISECOND PARALLELISM CHECKPOINT_INTERVAL_MS POLICY,
 * the policy being "checkpoint" or "default"
 */
public class Lines {
  /** Number to text, at a pace. */
  static class Text extends RichMapFunction<Long, String> {
    private final int perMillisecond;
    private long seen;

    Text(int perMillisecond) {
      this.perMillisecond = perMillisecond;
    }

    @Override
    public String map(Long number) throws Exception {
      if (perMillisecond > 0 && ++seen % perMillisecond == 0) {
        Thread.sleep(1);
      }
      return number.toString();
    }
  }

  public static void main(String[] args) throws Exception {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.setParallelism(Integer.parseInt(args[3]));
    env.enableCheckpointing(Long.parseLong(args[4]));
    FileSink.DefaultRowFormatBuilder<String> files =
        FileSink.forRowFormat(
                new Path("file:" + args[1]), new SimpleStringEncoder<String>("UTF-8"))
            .withBucketAssigner(new BasePathBucketAssigner<>());
    files =
        args[5].equals("checkpoint")
            ? files.withRollingPolicy(OnCheckpointRollingPolicy.build())
            : files.withRollingPolicy(DefaultRollingPolicy.builder().build());
    env.fromSequence(0, Long.parseLong(args[0]) - 1)
        .uid("source")
        .map(new Text(Integer.parseInt(args[2])))
        .sinkTo(files.build())
        .uid("sink");
    env.execute("Lines");
  }
}
