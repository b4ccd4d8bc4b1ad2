package peer;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.ext.AckExtension;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.client.transport.ClientTransport;
import org.cometd.common.JacksonJSONContextClient;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.client.Request;
import org.eclipse.jetty.http.HttpHeader;

/**
 * The benchmark's yardstick: a bridge as it is commonly written with CometD's own client and Kafka's own producer. Both are
 * left to do things their way: the client acknowledges a reply with its next poll, which waits for no Kafka reply, and the
 * producer sends idempotently, acks=all. With a transactional id it commits each reply before it is acknowledged. Prints
 * "ready" when it is subscribed and Kafka has answered; ends on SIGTERM.
 *
 * <p>Arguments: CometD URL, user, password, Kafka bootstrap servers, prefix of the topics. System properties: jackson (true:
 * CometD parses with Jackson instead of its default, Jetty's JSON), producer.NAME (a setting of Kafka's producer, such as
 * producer.linger.ms).
 */
public final class JavaBridge {
    private static final List<String> CHANNELS = List.of("/v2/me/*", "/me/internal");
    private static final String PRODUCER = "producer.";
    private static final int UNLIMITED = -1;

    private JavaBridge() {}

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String user = arguments[1];
        String credentials = user + ":" + arguments[2];
        String prefix = arguments[4];

        Properties settings = producerSettings(arguments[3]);
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings);
        HttpClient http = new HttpClient();
        http.start();
        BayeuxClient cometd = new BayeuxClient(url, transport(http, credentials));
        cometd.addExtension(new AckExtension());
        Runtime.getRuntime().addShutdownHook(new Thread(producer::close));

        Publisher publisher;
        if (settings.containsKey(ProducerConfig.TRANSACTIONAL_ID_CONFIG)) {
            TransactionalPublisher transactional = new TransactionalPublisher(producer, prefix + ".java-state", user);
            cometd.addExtension(transactional);
            publisher = transactional;
        } else {
            publisher = new Publisher(producer);
        }
        Relay relay = new Relay(publisher, prefix, user);
        cometd.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener) (channel, reply) -> {
            if (reply.isSuccessful()) {
                relay.opened(reply.getClientId());
            }
        });
        CountDownLatch subscribed = new CountDownLatch(CHANNELS.size());
        cometd.handshake(reply -> {
            if (reply.isSuccessful()) {
                for (String channel : CHANNELS) {
                    cometd.getChannel(channel).subscribe(relay, confirmation -> confirm(confirmation, subscribed));
                }
            }
        });
        producer.partitionsFor(prefix + ".acknowledgements.v1");
        producer.partitionsFor(prefix + ".user-events.v1");
        subscribed.await();
        System.out.println("ready");
        System.out.flush();
        Thread.currentThread().join();
    }

    private static void confirm(Message confirmation, CountDownLatch subscribed) {
        if (confirmation.isSuccessful()) {
            subscribed.countDown();
        }
    }

    private static JettyHttpClientTransport transport(HttpClient http, String credentials) {
        String authorization = "Basic "
                + Base64.getEncoder().encodeToString(credentials.getBytes(StandardCharsets.UTF_8));
        Map<String, Object> options = new HashMap<>();
        if (Boolean.getBoolean("jackson")) {
            options.put(ClientTransport.JSON_CONTEXT_OPTION, new JacksonJSONContextClient());
        }
        // A reply has all that the server has queued; the default of 1 MiB would end the session under load.
        options.put(ClientTransport.MAX_MESSAGE_SIZE_OPTION, UNLIMITED);
        return new JettyHttpClientTransport(options, http) {
            @Override
            protected void customize(Request request) {
                request.headers(headers -> headers.put(HttpHeader.AUTHORIZATION, authorization));
            }
        };
    }

    private static Properties producerSettings(String bootstrapServers) {
        Properties settings = new Properties();
        settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
        settings.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());
        settings.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class.getName());
        settings.put(ProducerConfig.ACKS_CONFIG, "all");
        settings.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, "true");
        for (String name : System.getProperties().stringPropertyNames()) {
            if (name.startsWith(PRODUCER)) {
                settings.put(name.substring(PRODUCER.length()), System.getProperty(name));
            }
        }
        return settings;
    }
}
