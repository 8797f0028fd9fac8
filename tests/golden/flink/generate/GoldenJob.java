package golden;

import java.lang.reflect.Method;
import java.util.concurrent.CountDownLatch;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.ReduceFunction;
import org.apache.flink.api.common.state.AggregatingState;
import org.apache.flink.api.common.state.AggregatingStateDescriptor;
import org.apache.flink.api.common.state.BroadcastState;
import org.apache.flink.api.common.state.KeyedStateStore;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.ReducingState;
import org.apache.flink.api.common.state.ReducingStateDescriptor;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.state.FunctionInitializationContext;
import org.apache.flink.runtime.state.FunctionSnapshotContext;
import org.apache.flink.streaming.api.checkpoint.CheckpointedFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.source.RichParallelSourceFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.WindowAssigner;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * Takes one savepoint of a job whose state is known: GoldenJob backend format threshold directory.
 * Backend as in the release's configuration; format "canonical" or "native", which only releases
 * since 1.15 tell apart; state of at most threshold bytes goes into _metadata. With "snappy" behind
 * it keyed state is compressed. Written with what Flink's releases 1.8 to 2.1 have in common.
 */
public final class GoldenJob {
  static final int KEYS = 20;
  static final int RECORDS_OF_A_KEY = 3;
  static final int PARALLELISM = 2;
  /** Opens when all subtasks of the source have sent everything; barriers come behind it. */
  private static final CountDownLatch SENT = new CountDownLatch(PARALLELISM);

  /** A value with known fields. */
  public static class Person {
    public String name;
    public int age;

    public Person() {}

    Person(String name, int age) {
      this.name = name;
      this.age = age;
    }
  }

  /** A value that Flink leaves to Kryo. */
  public static final class Opaque {
    private final String text;

    Opaque(String text) {
      this.text = text;
    }
  }

  /** Subtask s sends keys "key-NN" with NN % 2 = s, three times each, and goes on idle. */
  static final class Source extends RichParallelSourceFunction<Tuple2<String, Integer>>
      implements CheckpointedFunction {
    private transient ListState<Long> positions;
    private transient ListState<String> names;
    private transient BroadcastState<String, Integer> rules;
    private boolean running = true;

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
      positions =
          context.getOperatorStateStore().getListState(
              new ListStateDescriptor<>("positions", Types.LONG));
      names =
          context.getOperatorStateStore().getUnionListState(
              new ListStateDescriptor<>("names", Types.STRING));
      rules =
          context.getOperatorStateStore().getBroadcastState(
              new MapStateDescriptor<>("rules", Types.STRING, Types.INT));
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) {}

    @Override
    public void run(SourceContext<Tuple2<String, Integer>> out) throws Exception {
      final int index = subtaskOf(this);
      synchronized (out.getCheckpointLock()) {
        for (int i = 0; i < 3; ++i) positions.add(index * 100L + i);
        for (int i = 0; i < 2; ++i) names.add("subtask-" + index + "-" + i);
        for (int i = 0; i < 4; ++i) rules.put("rule-" + i, i);
        for (int round = 0; round < RECORDS_OF_A_KEY; ++round) {
          for (int key = index; key < KEYS; key += PARALLELISM) {
            out.collectWithTimestamp(Tuple2.of(nameOf(key), round), 1000L + 10_000L * round);
          }
        }
      }
      SENT.countDown();
      synchronized (this) {
        while (running) wait();
      }
    }

    @Override
    public void cancel() {
      synchronized (this) {
        running = false;
        notifyAll();
      }
    }
  }

  static String nameOf(int key) {
    return String.format("key-%02d", key);
  }

  /** Records come with round 0, 1 and 2 for each key. */
  static final class States extends KeyedProcessFunction<String, Tuple2<String, Integer>, String>
      implements CheckpointedFunction {
    private transient ValueState<Long> count;
    private transient ListState<String> words;
    private transient MapState<Integer, String> table;
    private transient ReducingState<Long> total;
    private transient AggregatingState<Integer, Integer> most;
    private transient ValueState<Person> person;
    private transient ValueState<Tuple2<String, Integer>> pair;
    private transient ValueState<String> recent;

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
      final KeyedStateStore store = context.getKeyedStateStore();
      count = store.getState(new ValueStateDescriptor<>("count", Types.LONG));
      words = store.getListState(new ListStateDescriptor<>("words", Types.STRING));
      table = store.getMapState(new MapStateDescriptor<>("table", Types.INT, Types.STRING));
      total = store.getReducingState(new ReducingStateDescriptor<>("total", new Add(), Types.LONG));
      most =
          store.getAggregatingState(
              new AggregatingStateDescriptor<>("most", new Most(), Types.INT));
      person =
          store.getState(
              new ValueStateDescriptor<>("person", TypeInformation.of(Person.class)));
      pair =
          store.getState(
              new ValueStateDescriptor<>("pair", Types.TUPLE(Types.STRING, Types.INT)));
      final ValueStateDescriptor<String> forgotten =
          new ValueStateDescriptor<>("recent", Types.STRING);
      forgotten.enableTimeToLive(
          ((StateTtlConfig.Builder) withTime(StateTtlConfig.class, "newBuilder", 36_500)).build());
      recent = store.getState(forgotten);
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) {}

    @Override
    public void processElement(Tuple2<String, Integer> in, Context context, Collector<String> out)
        throws Exception {
      final Long old = count.value();
      count.update(old == null ? 1 : old + 1);
      words.add(in.f0 + "-" + in.f1);
      table.put(in.f1, in.f0);
      total.add((long) in.f1);
      most.add(in.f1);
      person.update(new Person(in.f0, in.f1));
      pair.update(in);
      recent.update(in.f0);
      context.timerService().registerEventTimeTimer(4_102_444_800_000L);
    }
  }

  /** By the number of the key; one state of a type that cannot be read without its class. */
  static final class Numbers extends KeyedProcessFunction<Long, Tuple2<String, Integer>, String>
      implements CheckpointedFunction {
    private transient ValueState<Opaque> opaque;
    private transient ValueState<Double> share;

    @Override
    public void initializeState(FunctionInitializationContext context) throws Exception {
      final KeyedStateStore store = context.getKeyedStateStore();
      opaque =
          store.getState(
              new ValueStateDescriptor<>("opaque", TypeInformation.of(Opaque.class)));
      share = store.getState(new ValueStateDescriptor<>("share", Types.DOUBLE));
    }

    @Override
    public void snapshotState(FunctionSnapshotContext context) {}

    @Override
    public void processElement(Tuple2<String, Integer> in, Context context, Collector<String> out)
        throws Exception {
      opaque.update(new Opaque(in.f0));
      share.update(in.f1 / 2.0);
    }
  }

  static final class Add implements ReduceFunction<Long> {
    @Override
    public Long reduce(Long a, Long b) {
      return a + b;
    }
  }

  static final class Most implements AggregateFunction<Integer, Integer, Integer> {
    @Override
    public Integer createAccumulator() {
      return -1;
    }

    @Override
    public Integer add(Integer value, Integer accumulator) {
      return Math.max(value, accumulator);
    }

    @Override
    public Integer getResult(Integer accumulator) {
      return accumulator;
    }

    @Override
    public Integer merge(Integer a, Integer b) {
      return Math.max(a, b);
    }
  }

  static final class Last implements ReduceFunction<Tuple2<String, Integer>> {
    @Override
    public Tuple2<String, Integer> reduce(Tuple2<String, Integer> a, Tuple2<String, Integer> b) {
      return b;
    }
  }

  static final class ByName implements KeySelector<Tuple2<String, Integer>, String> {
    @Override
    public String getKey(Tuple2<String, Integer> in) {
      return in.f0;
    }
  }

  static final class ByNumber implements KeySelector<Tuple2<String, Integer>, Long> {
    @Override
    public Long getKey(Tuple2<String, Integer> in) {
      return Long.parseLong(in.f0.substring(4));
    }
  }

  /** Calls a static method whose parameter is a Duration in new releases and a Time in old ones. */
  static Object withTime(Class<?> owner, String name, int days) throws Exception {
    for (final Method method : owner.getMethods()) {
      if (!method.getName().equals(name) || method.getParameterCount() != 1) continue;
      final Class<?> type = method.getParameterTypes()[0];
      final Object time =
          type == java.time.Duration.class
              ? java.time.Duration.ofDays(days)
              : type.getMethod("days", long.class).invoke(null, (long) days);
      return method.invoke(null, time);
    }
    throw new NoSuchMethodException(name);
  }

  static int subtaskOf(RichParallelSourceFunction<?> function) throws Exception {
    Object context = function.getRuntimeContext();
    try {
      context = context.getClass().getMethod("getTaskInfo").invoke(context);
    } catch (NoSuchMethodException e) {
      // Before 1.19 the context itself knows.
    }
    final Method index = context.getClass().getMethod("getIndexOfThisSubtask");
    index.setAccessible(true);
    return (Integer) index.invoke(context);
  }

  static void build(StreamExecutionEnvironment env) throws Exception {
    final DataStream<Tuple2<String, Integer>> records =
        env.addSource(new Source())
            .returns(Types.TUPLE(Types.STRING, Types.INT))
            .name("Records")
            .uid("source");
    records.keyBy(new ByName()).process(new States()).name("States").uid("states");
    records.keyBy(new ByNumber()).process(new Numbers()).name("Numbers").uid("numbers");
    records.keyBy(new ByName()).sum(1).name("Sums").uid("sums");
    @SuppressWarnings("unchecked")
    final WindowAssigner<Object, TimeWindow> windows =
        (WindowAssigner<Object, TimeWindow>)
            (WindowAssigner<?, ?>) withSeconds();
    records.keyBy(new ByName()).window(windows).reduce(new Last()).name("Window").uid("window");
  }

  private static WindowAssigner<?, ?> withSeconds() throws Exception {
    for (final Method method : TumblingEventTimeWindows.class.getMethods()) {
      if (!method.getName().equals("of") || method.getParameterCount() != 1) continue;
      final Class<?> type = method.getParameterTypes()[0];
      final Object time =
          type == java.time.Duration.class
              ? java.time.Duration.ofSeconds(10)
              : type.getMethod("seconds", long.class).invoke(null, 10L);
      return (WindowAssigner<?, ?>) method.invoke(null, time);
    }
    throw new NoSuchMethodException("of");
  }

  /** Until 1.11 time stamps of records count only where the program says so. */
  private static void useEventTime(StreamExecutionEnvironment env) throws Exception {
    for (final Method method : StreamExecutionEnvironment.class.getMethods()) {
      if (!method.getName().equals("setStreamTimeCharacteristic")) continue;
      final Class<?> type = method.getParameterTypes()[0];
      method.invoke(env, type.getField("EventTime").get(null));
    }
  }

  private static Object triggerSavepoint(
      MiniCluster cluster, JobID job, String directory, String format) throws Exception {
    for (final Method method : MiniCluster.class.getMethods()) {
      if (!method.getName().equals("triggerSavepoint")) continue;
      final Class<?>[] types = method.getParameterTypes();
      if (types.length == 3) return method.invoke(cluster, job, directory, false);
      if (types.length != 4) continue;
      final Object value = types[3].getField(format.toUpperCase(java.util.Locale.ROOT)).get(null);
      return method.invoke(cluster, job, directory, false, value);
    }
    throw new NoSuchMethodException("triggerSavepoint");
  }

  public static void main(String[] args) throws Exception {
    final String backend = args[0];
    final String format = args[1];
    final String directory = args[3];
    final Configuration conf = new Configuration();
    conf.setString("state.backend", backend);
    conf.setString("state.backend.type", backend);
    conf.setString("state.checkpoints.dir", "file://" + directory + "/checkpoints");
    conf.setString("execution.checkpointing.dir", "file://" + directory + "/checkpoints");
    for (final String key :
        new String[] {
          "state.backend.fs.memory-threshold",
          "state.storage.fs.memory-threshold",
          "execution.checkpointing.data-inline-threshold"
        }) {
      conf.setString(key, args[2]);
    }
    conf.setString("io.tmp.dirs", directory + "/tmp");
    conf.setString("rest.address", "localhost");
    conf.setString("rest.port", "0");
    conf.setString("rest.bind-port", "0");

    final StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment();
    env.setParallelism(PARALLELISM);
    env.setMaxParallelism(128);
    env.getConfig().setUseSnapshotCompression(args.length > 4 && args[4].equals("snappy"));
    useEventTime(env);
    build(env);
    try {
      Class.forName("golden.Sequence")
          .getMethod("add", StreamExecutionEnvironment.class)
          .invoke(null, env);
    } catch (ClassNotFoundException e) {
      // The release has no such source.
    }
    final JobGraph graph = env.getStreamGraph().getJobGraph();
    final MiniCluster cluster =
        new MiniCluster(
            new MiniClusterConfiguration.Builder()
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(PARALLELISM)
                .setConfiguration(conf)
                .build());
    cluster.start();
    cluster.submitJob(graph).get();
    SENT.await();
    String path = null;
    for (int attempt = 0; path == null; ++attempt) {
      try {
        path =
            (String)
                ((java.util.concurrent.CompletableFuture<?>)
                        triggerSavepoint(
                            cluster, graph.getJobID(), "file://" + directory + "/target", format))
                    .get();
      } catch (java.util.concurrent.ExecutionException e) {
        // Not all tasks run yet.
        if (attempt == 100) throw e;
        Thread.sleep(100);
      }
    }
    System.out.println("SAVEPOINT " + path);
    cluster.cancelJob(graph.getJobID()).get();
    cluster.close();
    System.exit(0);
  }
}
