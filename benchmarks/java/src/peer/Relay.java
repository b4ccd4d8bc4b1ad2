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
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Headers;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSessionChannel;

/** Makes the same record of an event as the bridge does (key, CloudEvents headers, value), and publishes it. */
final class Relay implements ClientSessionChannel.MessageListener {
    private static final byte[] SPEC_VERSION = "1.0".getBytes(UTF_8);
    private static final byte[] TYPE = "gws.acknowledgement.v1".getBytes(UTF_8);
    private static final byte[] SCHEMA = "urn:cometd-kafka-bridge:schema:acknowledgement:v1".getBytes(UTF_8);
    private static final byte[] CONTENT_TYPE = "application/json".getBytes(UTF_8);
    private static final ObjectWriter JSON = new ObjectMapper().writerFor(Acknowledgement.class);

    private final KafkaProducer<byte[], byte[]> producer;
    private final String topic;
    private final String account;
    private final byte[] source;
    private String session = "";
    private long sequence;

    Relay(KafkaProducer<byte[], byte[]> producer, String topic, String account) {
        this.producer = producer;
        this.topic = topic;
        this.account = account;
        this.source = ("/web-services/" + account).getBytes(UTF_8);
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
        String number = Long.toString(sequence++);
        String receivedAt = Instant.now().toString();
        Acknowledgement event = Acknowledgement.of(message.getDataAsMap(), account, receivedAt);
        byte[] key = event.key().getBytes(UTF_8);
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, key, encode(event));
        Headers headers = record.headers();
        headers.add("ce_specversion", SPEC_VERSION);
        headers.add("ce_id", (session + '-' + number).getBytes(UTF_8));
        headers.add("ce_source", source);
        headers.add("ce_type", TYPE);
        headers.add("ce_time", receivedAt.getBytes(UTF_8));
        headers.add("ce_subject", key);
        headers.add("ce_dataschema", SCHEMA);
        headers.add("content-type", CONTENT_TYPE);
        headers.add("ce_sequence", number.getBytes(UTF_8));
        producer.send(record, (metadata, failure) -> {
            if (failure != null) {
                System.err.println("not published: " + failure);
            }
        });
    }

    private static byte[] encode(Acknowledgement event) {
        try {
            return JSON.writeValueAsBytes(event);
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The value of the record. */
    record Acknowledgement(
            String notificationType, String referenceId, Long recordHandle, String phoneNumber, Long applicationId,
            String campaignName, String callingList, String devicePath, String operation, String account,
            String receivedAt, Map<String, Object> original) {
        private static final Map<String, String> OPERATIONS = Map.of(
                "DoNotCallAcknowledge", "DoNotCallRecord",
                "RecordRejectAcknowledge", "RejectRecord",
                "RecordProcessedAcknowledge", "CompleteRecord",
                "UpdateCallCompletionStatsAcknowledge", "UpdateRecord",
                "ScheduledRecordRescheduleAcknowledge", "RescheduleRecord",
                "RecordRescheduleAcknowledge", "RescheduleRecord",
                "AddRecordAcknowledge", "AddRecord",
                "PreviewRecord", "GetPreviewRecord",
                "ChainedRecord", "GetChainedRecord",
                "ChainedRecordsDataEnd", "GetChainedRecord");

        static Acknowledgement of(Map<String, Object> data, String account, String receivedAt) {
            Map<?, ?> named = data.get("record") instanceof Map<?, ?> fields ? fields : Map.of();
            String notificationType = text(data.get("notificationType"));
            return new Acknowledgement(
                    notificationType,
                    text(data.get("referenceId")),
                    integer(named.get("recordHandle")),
                    text(named.get("phoneNumber")),
                    integer(named.get("applicationId")),
                    text(named.get("campaignName")),
                    text(named.get("callingList")),
                    text(named.get("devicePath")),
                    notificationType == null ? null : OPERATIONS.get(notificationType),
                    account,
                    receivedAt,
                    data);
        }

        String key() {
            Object last = recordHandle == null ? phoneNumber : recordHandle;
            return applicationId + "/" + campaignName + "/" + last;
        }

        private static String text(Object value) {
            return value == null ? null : value.toString();
        }

        /** Web Services sends numbers as numbers or as text. */
        private static Long integer(Object value) {
            if (value instanceof Number number) {
                return number.longValue();
            }
            return value instanceof String digits && !digits.isEmpty() ? Long.valueOf(digits) : null;
        }
    }
}
