package golden;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.connector.source.lib.NumberSequenceSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** A source with an enumerator, for releases since 1.12; it does not end while the job runs. */
public final class Sequence {
  static final class Slowly implements MapFunction<Long, Long> {
    @Override
    public Long map(Long value) throws Exception {
      Thread.sleep(5);
      return value;
    }
  }

  public static void add(StreamExecutionEnvironment env) {
    env.fromSource(
            new NumberSequenceSource(1, 1_000_000), WatermarkStrategy.noWatermarks(), "Sequence")
        .uid("sequence")
        .map(new Slowly())
        .name("Slowly")
        .uid("slowly");
  }

  private Sequence() {}
}
