package example;

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
import org.apache.avro.Schema;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.specific.SpecificDatumReader;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Reads acknowledgements in the bridge's Avro format (kafka.format = avro-registry) and prints each as a line of JSON.
 *
 * <p>Arguments: bootstrap servers, the registry's URL, topic, group, and after how many events to end (0: never).
 */
public final class Acknowledgements {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HttpClient http = HttpClient.newHttpClient();
    private final Map<Integer, SpecificDatumReader<Acknowledgement>> readers = new HashMap<>();
    private final String registry;

    private Acknowledgements(String registry) {
        this.registry = registry;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        properties.put("group.id", arguments[3]);
        properties.put("auto.offset.reset", "earliest");
        // Without this, events of transactions that were aborted, and came again, show as well.
        properties.put("isolation.level", "read_committed");
        // Offsets are committed after the events were dealt with, so a crash repeats some rather than losing them:
        // what they do must be the same when it is done twice, or remember ce_id as the Python example does.
        properties.put("enable.auto.commit", "false");
        Acknowledgements events = new Acknowledgements(arguments[1]);
        long left = Long.parseLong(arguments[4]);
        try (KafkaConsumer<String, byte[]> consumer =
                new KafkaConsumer<>(properties, new StringDeserializer(), new ByteArrayDeserializer())) {
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

    private void handle(ConsumerRecord<String, byte[]> record) throws IOException, InterruptedException {
        Acknowledgement event = read(record.value());
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
    private Acknowledgement read(byte[] value) throws IOException, InterruptedException {
        ByteBuffer frame = ByteBuffer.wrap(value);
        if (frame.get() != 0) {
            throw new IOException("the value is not in the schema registry's format");
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
        HttpRequest request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id))
                .timeout(Duration.ofSeconds(10))
                .build();
        HttpResponse<String> reply = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (reply.statusCode() != 200) {
            throw new IOException("the registry answers " + reply.statusCode() + " for schema " + id);
        }
        return new Schema.Parser().parse(JSON.readTree(reply.body()).get("schema").asText());
    }
}
