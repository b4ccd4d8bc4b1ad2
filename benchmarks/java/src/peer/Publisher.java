package peer;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Hands records to Kafka; the client acknowledges a reply while Kafka may still write its records. */
class Publisher {
    protected final KafkaProducer<byte[], byte[]> producer;

    Publisher(KafkaProducer<byte[], byte[]> producer) {
        this.producer = producer;
    }

    void publish(ProducerRecord<byte[], byte[]> record) {
        producer.send(record, (metadata, failure) -> {
            if (failure != null) {
                System.err.println("not published: " + failure);
            }
        });
    }
}
