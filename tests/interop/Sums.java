package interop;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * The counterpart in Java of StateTypesJob --case sums: same uids, same types.
 *
 * <p>Sums COUNT OUTPUT_DIRECTORY RECORDS_PER_MILLISECOND PARALLELISM BACKEND
 */
public class Sums {
  /** Number to word, at a pace. */
  static class Words extends RichMapFunction<Long, Tuple2<String, Integer>> {
    private final int perMillisecond;
    private long seen;

    Words(int perMillisecond) {
      this.perMillisecond = perMillisecond;
    }

    @Override
    public Tuple2<String, Integer> map(Long number) throws Exception {
      if (perMillisecond > 0 && ++seen % perMillisecond == 0) {
        Thread.sleep(1);
      }
      return Tuple2.of("w" + number % 97, 1);
    }
  }

  /** Writes "word,sum" lines to a file per subtask. */
  static class Lines extends RichMapFunction<Tuple2<String, Integer>, Integer> {
    private final String directory;
    private transient PrintWriter out;

    Lines(String directory) {
      this.directory = directory;
    }

    @Override
    public void open(OpenContext context) throws Exception {
      Files.createDirectories(Path.of(directory));
      out =
          new PrintWriter(
              Files.newBufferedWriter(
                  Path.of(
                      directory,
                      "part-" + getRuntimeContext().getTaskInfo().getIndexOfThisSubtask())));
    }

    @Override
    public Integer map(Tuple2<String, Integer> count) {
      out.println(count.f0 + "," + count.f1);
      return count.f1;
    }

    @Override
    public void close() {
      if (out != null) {
        out.close();
      }
    }
  }

  public static void main(String[] args) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("state.backend.type", args[4]);
    // Tasks of a job without checkpoints do not align barriers: its savepoints hold records twice.
    configuration.setString("execution.checkpointing.interval", "1 h");
    StreamExecutionEnvironment env =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration);
    env.setParallelism(Integer.parseInt(args[3]));
    env.fromSequence(0, Long.parseLong(args[0]) - 1)
        .uid("source")
        .map(new Words(Integer.parseInt(args[2])))
        .keyBy(count -> count.f0)
        .sum(1)
        .uid("count")
        .map(new Lines(args[1]))
        .sinkTo(new DiscardingSink<>());
    env.execute("Sums");
  }
}
