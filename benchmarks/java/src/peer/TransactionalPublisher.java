package peer;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;

/**
 * Publishes the events of each CometD reply in one transaction, together with the position that a restart needs: the
 * session, and the acknowledgement that this reply carries.
 *
 * <p>The server writes the events of a reply before the reply to /meta/connect, and the client sends its next poll, which
 * acknowledges the events, only after its extensions have seen that reply. So a commit in an extension comes first.
 * A transaction that fails ends the process: Kafka aborts it, and the server sends the events again.
 */
final class TransactionalPublisher extends Publisher implements ClientSession.Extension {
    private final String positionTopic;
    private final byte[] account;
    private boolean open;

    TransactionalPublisher(KafkaProducer<byte[], byte[]> producer, String positionTopic, String account) {
        super(producer);
        this.positionTopic = positionTopic;
        this.account = account.getBytes(UTF_8);
        producer.initTransactions();
    }

    @Override
    void publish(ProducerRecord<byte[], byte[]> record) {
        if (!open) {
            producer.beginTransaction();
            open = true;
        }
        super.publish(record);
    }

    @Override
    public boolean rcvMeta(ClientSession session, Message.Mutable message) {
        if (open && Channel.META_CONNECT.equals(message.getChannel())) {
            Object acknowledgement = message.getExt() == null ? null : message.getExt().get("ack");
            String position = "{\"clientId\":\"" + session.getId() + "\",\"acknowledgement\":" + acknowledgement + "}";
            try {
                super.publish(new ProducerRecord<>(positionTopic, account, position.getBytes(UTF_8)));
                producer.commitTransaction();
            } catch (KafkaException failure) {
                System.err.println("not committed: " + failure);
                Runtime.getRuntime().halt(1);
            }
            open = false;
        }
        return true;
    }
}
