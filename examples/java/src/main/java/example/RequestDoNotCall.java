package example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Requests by Kafka that a record is marked as DoNotCall, and waits for the outcome (kafka.format = json).
 *
 * <p>Arguments: bootstrap servers, topic prefix, application id, campaign, calling list, device, record handle.
 */
public final class RequestDoNotCall {
    private static final String USAGE =
            """
            Needed: SERVERS PREFIX APPLICATION CAMPAIGN LIST DEVICE HANDLE, for example
              kafka-1:9092 gws 134 Campaign1 CallingList1 f32a46c4-8a48-4067-9965-537fc9788790 13""";
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Set<String> ENDED = Set.of("acknowledged", "rejected", "timed-out");
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private RequestDoNotCall() {}

    public static void main(String[] arguments) {
        if (arguments.length != 7 || !arguments[2].matches("\\d{1,9}") || !arguments[6].matches("\\d{1,18}")) {
            System.err.println(USAGE);
            System.exit(2);
        }
        // The bridge forwards a reference once. Keep it with what it is about, and a repeated run does no harm.
        String reference = UUID.randomUUID().toString();
        AtomicBoolean ended = new AtomicBoolean();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (!ended.get()) {
                System.err.println("stopped; the outcome of " + reference + " is not known");
            }
        }));
        int code = 1;
        try {
            String status = send(reference, arguments);
            System.out.println(reference + " " + status);
            code = status.equals("acknowledged") ? 0 : 1;
        } catch (IOException | KafkaException | InterruptedException | ExecutionException e) {
            System.err.println(e.getCause() == null ? e.getMessage() : e.getMessage() + " (" + e.getCause() + ")");
        }
        ended.set(true);
        System.exit(code);
    }

    /** Sends the request, and returns its outcome. */
    private static String send(String reference, String[] arguments)
            throws IOException, InterruptedException, ExecutionException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("isolation.level", "read_committed");
        properties.put("acks", "all");
        try (KafkaConsumer<String, String> consumer =
                        new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
                KafkaProducer<String, String> producer =
                        new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            check(consumer, arguments[0], List.of(arguments[1] + ".requests.v1", arguments[1] + ".operations.v1"));
            // Read from here on, before the request is sent. A program that may restart keeps a group and its offsets.
            List<TopicPartition> partitions = consumer.partitionsFor(arguments[1] + ".operations.v1").stream()
                    .map(one -> new TopicPartition(one.topic(), one.partition()))
                    .toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            partitions.forEach(consumer::position);
            producer.send(request(reference, arguments)).get();
            return outcome(consumer, reference);
        }
    }

    /** Fails if Kafka does not answer, or lacks a topic. A producer could make a broker create the topic. */
    private static void check(KafkaConsumer<?, ?> consumer, String servers, List<String> topics) throws IOException {
        Set<String> present;
        try {
            present = consumer.listTopics(Duration.ofSeconds(10)).keySet();
        } catch (TimeoutException e) {
            throw new IOException("no Kafka answers at " + servers + "; does it run, and is the address right?");
        }
        List<String> missing = topics.stream().filter(one -> !present.contains(one)).toList();
        if (!missing.isEmpty()) {
            throw new IOException("there is no topic " + String.join(", ", missing)
                    + "; is the prefix right, and has a bridge with operations.request_topic run?");
        }
    }

    private static ProducerRecord<String, String> request(String reference, String[] arguments) throws IOException {
        ObjectNode request = JSON.createObjectNode()
                .put("operationName", "DoNotCallRecord")
                .put("applicationId", Integer.parseInt(arguments[2]))
                .put("campaignName", arguments[3])
                .put("callingList", arguments[4])
                .put("devicePath", "/devices/" + arguments[5]);
        ObjectNode value = JSON.createObjectNode();
        value.putNull("account").put("recordHandle", Long.parseLong(arguments[6])).set("request", request);
        ProducerRecord<String, String> record =
                new ProducerRecord<>(arguments[1] + ".requests.v1", reference, JSON.writeValueAsString(value));
        Map.of(
                        "ce_specversion", "1.0",
                        "ce_id", UUID.randomUUID().toString(),
                        "ce_source", "/examples/java",
                        "ce_type", "gws.request.v1",
                        "content-type", "application/json")
                .forEach((name, text) -> record.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
        return record;
    }

    private static String outcome(KafkaConsumer<String, String> consumer, String reference) throws IOException {
        Instant until = Instant.now().plus(PATIENCE);
        while (Instant.now().isBefore(until)) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                if (reference.equals(record.key()) && record.value() != null) {
                    JsonNode event = JSON.readTree(record.value());
                    if (ENDED.contains(event.get("status").asText())) {
                        return event.get("status").asText();
                    }
                }
            }
        }
        return "unknown";
    }
}
