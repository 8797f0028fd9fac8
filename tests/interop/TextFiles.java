package interop;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringEncoder;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.file.sink.FileSink;
import org.apache.flink.connector.file.src.FileSource;
import org.apache.flink.connector.file.src.reader.TextLineInputFormat;
import org.apache.flink.core.fs.Path;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.filesystem.bucketassigners.BasePathBucketAssigner;
import org.apache.flink.streaming.api.functions.sink.filesystem.rollingpolicies.OnCheckpointRollingPolicy;

/**
 * The counterpart in Java of TextFilesJob: same uids, same types.
 *
 * <p>TextFiles INPUT OUTPUT_DIRECTORY RECORDS_PER_MILLISECOND PARALLELISM BACKEND [watch]
 */
public class TextFiles {
  /** "word number" to both, at a pace. */
  static class Parse extends RichMapFunction<String, Tuple2<String, Integer>> {
    private final int perMillisecond;
    private long seen;

    Parse(int perMillisecond) {
      this.perMillisecond = perMillisecond;
    }

    @Override
    public Tuple2<String, Integer> map(String line) throws Exception {
      if (perMillisecond > 0 && ++seen % perMillisecond == 0) {
        Thread.sleep(1);
      }
      int space = line.indexOf(' ');
      return Tuple2.of(line.substring(0, space), Integer.valueOf(line.substring(space + 1)));
    }
  }

  public static void main(String[] args) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("state.backend.type", args[4]);
    // Tasks of a job without checkpoints do not align barriers: its savepoints hold records twice.
    configuration.setString("execution.checkpointing.interval", "500 ms");
    configuration.setString("restart-strategy.type", "none");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(Integer.parseInt(args[3]));
    var source =
        FileSource.forRecordStreamFormat(new TextLineInputFormat(), new Path(args[0]));
    if (args.length > 5) {
      source.monitorContinuously(Duration.ofSeconds(1));
    }
    env.fromSource(source.build(), WatermarkStrategy.noWatermarks(), "lines")
        .uid("source")
        .map(new Parse(Integer.parseInt(args[2])))
        .keyBy(count -> count.f0)
        .sum(1)
        .uid("count")
        .map(count -> count.f0 + "," + count.f1)
        .sinkTo(
            FileSink.forRowFormat(new Path(args[1]), new SimpleStringEncoder<String>())
                .withBucketAssigner(new BasePathBucketAssigner<>())
                .withRollingPolicy(OnCheckpointRollingPolicy.build())
                .build())
        .uid("sink");
    env.execute("TextFiles");
  }
}
