import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedWriter;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The side-by-side job as a Kafka Streams application: each user's events of the last 30 days in a RocksDB store, fifteen exact windowed
 * features, a hundred trees, a score for every event, exactly once, committed each second.
 *
 * <p>Arguments: BROKERS, topic of events, topic of scores, MODEL.json, number of events, folder for state, file for scores. Prints one JSON
 * object; the CPU time is the whole process's until the streams are closed, and reading the scores back comes after it.
 */
public final class Peer {
  static final long DAY = 86_400_000L;
  static final long[] WINDOWS = {DAY, 7 * DAY, 30 * DAY};
  /** Bytes of a stored event: time, type, milliseconds watched. */
  static final int STORED = 17;

  static final AtomicLong PROCESSED = new AtomicLong();

  @JsonIgnoreProperties(ignoreUnknown = true)
  record Event(String entity, String type, long ts, Map<String, Double> fields) {}

  /** Trees in arrays; the sums in the order and precision of XGBoost. */
  record Model(int[][] left, int[][] right, int[][] feature, float[][] threshold) {
    static Model load(Path path) throws Exception {
      JsonNode trees = new ObjectMapper().readTree(path.toFile()).at("/learner/gradient_booster/model/trees");
      int n = trees.size();
      Model model = new Model(new int[n][], new int[n][], new int[n][], new float[n][]);
      for (int i = 0; i < n; i++) {
        JsonNode tree = trees.get(i);
        model.left[i] = ints(tree.get("left_children"));
        model.right[i] = ints(tree.get("right_children"));
        model.feature[i] = ints(tree.get("split_indices"));
        JsonNode thresholds = tree.get("split_conditions");
        model.threshold[i] = new float[thresholds.size()];
        for (int j = 0; j < thresholds.size(); j++) model.threshold[i][j] = (float) thresholds.get(j).asDouble();
      }
      return model;
    }

    static int[] ints(JsonNode list) {
      int[] values = new int[list.size()];
      for (int i = 0; i < values.length; i++) values[i] = list.get(i).asInt();
      return values;
    }

    /** The job's base score is one half, a margin of 0; its rows miss nothing. */
    float probability(float[] row) {
      float margin = 0;
      for (int tree = 0; tree < left.length; tree++) {
        int node = 0;
        while (left[tree][node] >= 0) {
          boolean goesLeft = row[feature[tree][node]] < threshold[tree][node];
          node = goesLeft ? left[tree][node] : right[tree][node];
        }
        margin += threshold[tree][node];
      }
      return (float) (1 / (1 + Math.exp(-margin)));
    }
  }

  static final class Scorer implements Processor<String, byte[], String, byte[]> {
    private final ObjectMapper json = new ObjectMapper();
    private final Model model;
    private final float[] row = new float[15];
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> users;

    Scorer(Model model) {
      this.model = model;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      users = context.getStateStore("users");
    }

    @Override
    public void process(Record<String, byte[]> record) {
      Event event;
      try {
        event = json.readValue(record.value(), Event.class);
      } catch (Exception error) {
        throw new IllegalStateException(error);
      }
      if (event.type().startsWith("$")) return;
      byte[] before = users.get(event.entity());
      int from = 0;
      int length = before == null ? 0 : before.length;
      ByteBuffer old = before == null ? null : ByteBuffer.wrap(before);
      while (from < length && old.getLong(from) <= event.ts() - WINDOWS[2]) from += STORED;
      ByteBuffer log = ByteBuffer.allocate(length - from + STORED);
      if (before != null) log.put(before, from, length - from);
      double watched = event.fields() == null ? 0 : event.fields().getOrDefault("watch_s", 0.0);
      log.putLong(event.ts()).put(kind(event.type())).putLong(Math.round(watched * 1000));
      features(log, event.ts());
      users.put(event.entity(), log.array());
      String score = "{\"user_id\":\"" + event.entity() + "\",\"timestamp\":" + event.ts()
              + ",\"probability\":" + model.probability(row) + "}";
      context.forward(record.withKey(event.entity()).withValue(score.getBytes()));
      PROCESSED.incrementAndGet();
    }

    private static byte kind(String type) {
      return switch (type) {
        case "play" -> 1;
        case "cancel" -> 2;
        case "payment_failed" -> 3;
        default -> 0;
      };
    }

    private void features(ByteBuffer log, long now) {
      long[] sums = new long[15];
      for (int at = log.capacity() - STORED; at >= 0; at -= STORED) {
        long age = now - log.getLong(at);
        byte kind = log.get(at + 8);
        for (int window = 0; window < 3; window++) {
          if (age >= WINDOWS[window]) continue;
          sums[5 * window]++;
          if (kind > 0) sums[5 * window + kind]++;
          sums[5 * window + 4] += log.getLong(at + 9);
        }
      }
      for (int i = 0; i < 15; i++) row[i] = i % 5 == 4 ? (float) (sums[i] / 1000.0) : sums[i];
    }
  }

  public static void main(String[] arguments) throws Exception {
    String brokers = arguments[0], events = arguments[1], scores = arguments[2];
    Model model = Model.load(Path.of(arguments[3]));
    long total = Long.parseLong(arguments[4]);
    Topology topology = new Topology();
    topology.addSource("events", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), events);
    topology.addProcessor("scorer", () -> new Scorer(model), "events");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("users"), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled(),
        "scorer");
    topology.addSink("scores", scores, Serdes.String().serializer(), Serdes.ByteArray().serializer(), "scorer");

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "peer-" + scores);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[5]);
    // Its default of 10 MB would make it write each user's events at almost every event.
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128L << 20);
    settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
    settings.put(StreamsConfig.producerPrefix("linger.ms"), 50);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");

    long begun = System.nanoTime();
    KafkaStreams streams = new KafkaStreams(topology, settings);
    streams.start();
    // What was processed may have been aborted and processed again, so the committed offsets say when all is done.
    while (PROCESSED.get() < total || !isDone(brokers, "peer-" + scores, events)) {
      if (!streams.state().isRunningOrRebalancing()) throw new IllegalStateException("stopped: " + streams.state());
      Thread.sleep(100);
    }
    streams.close(Duration.ofSeconds(60));
    double wall = (System.nanoTime() - begun) / 1e9;
    double cpu = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class).getProcessCpuTime() / 1e9;
    long peak = 0;
    for (String line : Files.readAllLines(Path.of("/proc/self/status")))
      if (line.startsWith("VmHWM:")) peak = Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
    long written = readBack(brokers, scores, new File(arguments[6]), total);
    System.out.printf(
        "{\"events\":%d,\"scores\":%d,\"cpu_seconds\":%.3f,\"events_per_cpu_second\":%.0f,\"wall_seconds\":%.1f,\"peak_rss_bytes\":%d}%n",
        PROCESSED.get(), written, cpu, total / cpu, wall, peak);
  }

  static boolean isDone(String brokers, String group, String topic) throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", brokers))) {
      var done = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
      int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
      Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
      for (int p = 0; p < partitions; p++) asked.put(new TopicPartition(topic, p), OffsetSpec.latest());
      for (var end : admin.listOffsets(asked).all().get().entrySet()) {
        var at = done.get(end.getKey());
        if (at == null || at.offset() < end.getValue().offset()) return false;
      }
      return true;
    }
  }

  /** Writes what is committed as user_id,timestamp,probability. */
  static long readBack(String brokers, String topic, File to, long expected) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", brokers);
    settings.put("isolation.level", "read_committed");
    ObjectMapper json = new ObjectMapper();
    long count = 0;
    try (var consumer = new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        BufferedWriter out = Files.newBufferedWriter(to.toPath())) {
      List<TopicPartition> partitions =
          consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      // The last transaction's end may still be on its way.
      for (int silent = 0; count < expected && silent < 20; ) {
        var records = consumer.poll(Duration.ofSeconds(1));
        silent = records.isEmpty() ? silent + 1 : 0;
        for (var record : records) {
          JsonNode score = json.readTree(record.value());
          out.write(score.get("user_id").asText() + "," + score.get("timestamp") + "," + score.get("probability") + "\n");
          count++;
        }
      }
    }
    return count;
  }
}
