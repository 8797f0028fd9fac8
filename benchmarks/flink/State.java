package benchmarks;

import java.io.FileWriter;
import java.io.IOException;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.utils.ParameterTool;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.functions.source.RichParallelSourceFunction;
import org.apache.flink.util.Collector;

/** The counterpart in Java of BenchmarkJob --case state, with the same arguments. */
public class State {
  /** The numbers below `count`, a range per subtask; at most `rate` a second and subtask. */
  static class Numbers extends RichParallelSourceFunction<Long> implements CheckpointedFunction {
    private static final int BATCH = 100;
    private final long count;
    private final long rate;
    private volatile boolean running = true;
    private Long next;
    private transient ListState<Long> state;

    Numbers(long count, long rate) {
      this.count = count;
      this.rate = rate;
    }

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
      state = context.getOperatorStateStore().getListState(new ListStateDescriptor<>("next", Types.LONG));
      for (long number : state.get()) {
        next = number;
      }
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) throws Exception {
      state.update(List.of(next));
    }

    @Override
    public void run(SourceContext<Long> context) throws Exception {
      int subtasks = getRuntimeContext().getTaskInfo().getNumberOfParallelSubtasks();
      int subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
      long end = count / subtasks * (subtask + 1);
      long begin = System.nanoTime();
      long sent = 0;
      while (running) {
        if (rate > 0 && sent > (System.nanoTime() - begin) / 1e9 * rate) {
          Thread.sleep(1);
          continue;
        }
        synchronized (context.getCheckpointLock()) {
          if (next == null) {
            next = count / subtasks * subtask;
          }
          for (int i = 0; i < BATCH && next < end; i++) {
            context.collect(next++);
          }
        }
        sent += BATCH;
      }
    }

    @Override
    public void cancel() {
      running = false;
    }
  }

  /** Counts the numbers of either half in a value of a given size per key, and notes when they come. */
  static class Keep extends KeyedProcessFunction<Long, Long, Long> {
    private final int bytes;
    private final long half;
    private final String events;
    private final String progress;
    private long seen;
    private transient ValueState<byte[]> value;

    Keep(int bytes, long half, String events, String progress) {
      this.bytes = bytes;
      this.half = half;
      this.events = events;
      this.progress = progress;
    }

    @Override
    public void open(OpenContext context) {
      value =
          getRuntimeContext()
              .getState(
                  new ValueStateDescriptor<>(
                      "value", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO));
    }

    @Override
    public void processElement(Long number, Context context, Collector<Long> out) throws Exception {
      if (seen == 0) {
        note(events, getRuntimeContext().getTaskInfo().getAttemptNumber());
      }
      if (++seen % 10_000 == 0) {
        note(progress, getRuntimeContext().getTaskInfo().getIndexOfThisSubtask());
      }
      byte[] bytesOfKey = value.value();
      if (bytesOfKey == null) {
        bytesOfKey = new byte[bytes];
        new java.util.Random(context.getCurrentKey()).nextBytes(bytesOfKey);
      }
      bytesOfKey[number < half ? 0 : 8]++;
      value.update(bytesOfKey);
      out.collect(number);
    }

    private static void note(String name, int what) throws IOException {
      try (FileWriter file = new FileWriter(name, true)) {
        file.write(System.currentTimeMillis() + " " + what + "\n");
      }
    }
  }

  public static void main(String[] arguments) throws Exception {
    ParameterTool parameters = ParameterTool.fromArgs(arguments);
    long count = parameters.getLong("count");
    long keys = parameters.getLong("keys");
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
    env.getConfig().enableObjectReuse();
    env.setParallelism(2);
    env.addSource(new Numbers(count, parameters.getLong("rate")))
        .uid("source")
        .returns(Types.LONG)
        .keyBy(number -> number % keys, Types.LONG)
        .process(
            new Keep(
                parameters.getInt("value-bytes"),
                count / 2,
                parameters.get("events"),
                parameters.get("progress")))
        .uid("keep")
        .returns(Types.LONG)
        .sinkTo(new DiscardingSink<>())
        .uid("sink");
    env.execute("State");
  }
}
