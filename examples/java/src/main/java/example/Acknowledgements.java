package example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import gws.v1.Acknowledgement;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.avro.Schema;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads acknowledgements in the bridge's Avro format (kafka.format = avro-registry) and prints each as a line of JSON.
 *
 * <p>Arguments: bootstrap servers, the registry's URL, topic, group, and after how many events to end (0: never).
 */
public final class Acknowledgements {
    private static final String USAGE =
            """
            Needed: SERVERS REGISTRY TOPIC GROUP EVENTS, for example
              kafka-1:9092 http://registry:8081 gws.acknowledgements.v1 my-group 0
            EVENTS: the program ends after so many events (0: never).""";
    private static final String FORMAT =
            "this example reads kafka.format = avro-registry; the Python, Go and TypeScript examples read JSON";
    private static final CountDownLatch CLOSED = new CountDownLatch(1);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http = HttpClient.newHttpClient();
    private final Map<Integer, SpecificDatumReader<Acknowledgement>> readers = new HashMap<>();
    private final String registry;

    private Acknowledgements(String registry) {
        this.registry = registry;
    }

    public static void main(String[] arguments) throws InterruptedException {
        if (arguments.length != 5 || !arguments[4].matches("\\d{1,18}")) {
            System.err.println(USAGE);
            System.exit(2);
        }
        int code = 0;
        try {
            consume(arguments);
        } catch (WakeupException e) {
            System.err.println("stopped; the next start continues here");
        } catch (IOException | KafkaException e) {
            System.err.println(e.getCause() == null ? e.getMessage() : e.getMessage() + " (" + e.getCause() + ")");
            code = 1;
        } finally {
            CLOSED.countDown();
        }
        if (code != 0) {
            System.exit(code);
        }
    }

    private static void consume(String[] arguments) throws IOException, InterruptedException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("group.id", arguments[3]);
        properties.put("auto.offset.reset", "earliest");
        // Without this, events of transactions that were aborted, and came again, show as well.
        properties.put("isolation.level", "read_committed");
        // Offsets are committed after the events were dealt with, so a crash repeats some rather than losing them:
        // what they do must be the same when it is done twice, or remember ce_id as the Python example does.
        properties.put("enable.auto.commit", "false");
        // A broker could create a mistyped topic with its own defaults.
        properties.put("allow.auto.create.topics", "false");
        Acknowledgements events = new Acknowledgements(arguments[1]);
        long left = Long.parseLong(arguments[4]);
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer())) {
            wakeUpAtExit(consumer);
            check(consumer, arguments[0], arguments[2]);
            consumer.subscribe(List.of(arguments[2]));
            while (true) {
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    events.handle(record);
                    if (--left == 0) {
                        consumer.commitSync();
                        return;
                    }
                }
                consumer.commitSync();
            }
        }
    }

    /** At Ctrl-C ends the poll, and waits until the consumer has left its group. */
    private static void wakeUpAtExit(KafkaConsumer<?, ?> consumer) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                CLOSED.await(5, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
    }

    /** Fails if Kafka does not answer, or has no such topic. A consumer would wait for both. */
    private static void check(KafkaConsumer<?, ?> consumer, String servers, String topic) throws IOException {
        Set<String> present;
        try {
            present = consumer.listTopics(Duration.ofSeconds(10)).keySet();
        } catch (TimeoutException e) {
            throw new IOException("no Kafka answers at " + servers + "; does it run, and is the address right?");
        }
        if (!present.contains(topic)) {
            throw new IOException("there is no topic " + topic + "; is the name right, and has the bridge run?");
        }
    }

    private void handle(ConsumerRecord<String, byte[]> record) throws IOException, InterruptedException {
        Acknowledgement event = read(record);
        Map<String, Object> line = new HashMap<>();
        line.put("id", new String(record.headers().lastHeader("ce_id").value(), StandardCharsets.UTF_8));
        line.put("key", record.key());
        line.put("notificationType", event.getNotificationType());
        line.put("referenceId", event.getReferenceId());
        line.put("recordHandle", event.getRecordHandle());
        line.put("original", JSON.readTree(event.getOriginal())); // a string that holds JSON
        System.out.println(JSON.writeValueAsString(line));
    }

    /** A zero byte, the id of the schema that the value was written with, and Avro. */
    private Acknowledgement read(ConsumerRecord<String, byte[]> record) throws IOException, InterruptedException {
        byte[] value = record.value();
        ByteBuffer frame = ByteBuffer.wrap(value);
        if (value.length < 5 || frame.get() != 0) {
            String place = record.topic() + "/" + record.partition() + "@" + record.offset();
            throw new IOException(place + " is not in the schema registry's format; " + FORMAT);
        }
        int id = frame.getInt();
        SpecificDatumReader<Acknowledgement> reader = readers.get(id);
        if (reader == null) {
            // Written by the schema of that id, read as what this program was built with: fields may have been added.
            reader = new SpecificDatumReader<>(schema(id), Acknowledgement.getClassSchema());
            readers.put(id, reader);
        }
        int start = frame.position();
        return reader.read(null, DecoderFactory.get().binaryDecoder(value, start, value.length - start, null));
    }

    private Schema schema(int id) throws IOException, InterruptedException {
        HttpResponse<String> reply;
        try {
            HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id))
                    .timeout(Duration.ofSeconds(10))
                    .build();
            reply = http.send(request, HttpResponse.BodyHandlers.ofString());
        } catch (IOException | IllegalArgumentException e) {
            throw new IOException("no schema registry answers at " + registry, e);
        }
        if (reply.statusCode() != 200) {
            throw new IOException("the registry answers " + reply.statusCode() + " for schema " + id);
        }
        JsonNode found = JSON.readTree(reply.body());
        if (!found.path("schemaType").asText("AVRO").equals("AVRO")) {
            throw new IOException("schema " + id + " is not an Avro schema; " + FORMAT);
        }
        return new Schema.Parser().parse(found.get("schema").asText());
    }
}
