package peer;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSessionChannel;

/** Makes the same record of an event as the bridge does (topic, key, CloudEvents headers, value), and publishes it. */
final class Relay implements ClientSessionChannel.MessageListener {
    private static final byte[] SPEC_VERSION = "1.0".getBytes(UTF_8);
    private static final byte[] CONTENT_TYPE = "application/json".getBytes(UTF_8);
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final Publisher publisher;
    private final String account;
    private final byte[] source;
    private final Kind acknowledgements;
    private final Kind userEvents;
    private String session = "";
    private long sequence;

    Relay(Publisher publisher, String prefix, String account) {
        this.publisher = publisher;
        this.account = account;
        this.source = ("/web-services/" + account).getBytes(UTF_8);
        this.acknowledgements = Kind.of("acknowledgement", prefix + ".acknowledgements.v1", Acknowledgement.class);
        this.userEvents = Kind.of("user-event", prefix + ".user-events.v1", UserEvent.class);
    }

    /** A new CometD session: its events are counted from 0. */
    void opened(String clientId) {
        try {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest((account + '\0' + clientId).getBytes(UTF_8));
            session = HexFormat.of().formatHex(digest, 0, 8);
            sequence = 0;
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    @Override
    public void onMessage(ClientSessionChannel channel, Message message) {
        Map<String, Object> data = message.getDataAsMap();
        String receivedAt = Instant.now().toString();
        if ("DeviceUserEventMessage".equals(data.get("messageType"))) {
            publish(userEvents, UserEvent.of(data, account, receivedAt), receivedAt);
        } else {
            publish(acknowledgements, Acknowledgement.of(data, account, receivedAt), receivedAt);
        }
    }

    private void publish(Kind kind, Event event, String receivedAt) {
        String number = Long.toString(sequence++);
        byte[] key = event.recordKey().getBytes(UTF_8);
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(kind.topic(), key, kind.encode(event));
        Headers headers = record.headers();
        headers.add("ce_specversion", SPEC_VERSION);
        headers.add("ce_id", (session + '-' + number).getBytes(UTF_8));
        headers.add("ce_source", source);
        headers.add("ce_type", kind.type());
        headers.add("ce_time", receivedAt.getBytes(UTF_8));
        headers.add("ce_subject", key);
        headers.add("ce_dataschema", kind.schema());
        headers.add("content-type", CONTENT_TYPE);
        headers.add("ce_sequence", number.getBytes(UTF_8));
        publisher.publish(record);
    }

    /** What all events of one kind share. */
    private record Kind(String topic, byte[] type, byte[] schema, ObjectWriter json) {
        static Kind of(String name, String topic, Class<? extends Event> values) {
            return new Kind(
                    topic,
                    ("gws." + name + ".v1").getBytes(UTF_8),
                    ("urn:cometd-kafka-bridge:schema:" + name + ":v1").getBytes(UTF_8),
                    MAPPER.writerFor(values));
        }

        byte[] encode(Event event) {
            try {
                return json.writeValueAsBytes(event);
            } catch (JsonProcessingException impossible) {
                throw new IllegalStateException(impossible);
            }
        }
    }
}
