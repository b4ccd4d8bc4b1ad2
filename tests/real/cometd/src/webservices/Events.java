package webservices;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import org.cometd.bayeux.ChannelId;
import org.cometd.bayeux.server.ServerChannel;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.ext.UnacknowledgedMessages;
import org.eclipse.jetty.util.ajax.JSON;

/** Delivery of events to the CometD sessions, and the view on those sessions. */
final class Events {
    /** One event: its data as JSON values or as ready JSON text ({@link JSON.Literal}); user null means everybody's sessions. */
    record Event(String channel, Object data, String user) {}

    private volatile BayeuxServerImpl bayeux;

    void serve(BayeuxServerImpl server) {
        CometD.nameSessions(server);
        bayeux = server;
    }

    /** Queues the events for the subscribed sessions of their users, together: a parked poll gets them in one reply. */
    void publish(List<Event> events) {
        for (ServerSession session : bayeux.getSessions()) {
            session.batch(() -> events.forEach(event -> deliver(session, event)));
        }
    }

    /**
     * Makes and publishes acknowledgements, evenly at a rate (events/s; 0: as fast as it goes); returns when all are out.
     * Every session gets each of them; with inTurn one session gets it, the next session the next one, and so on.
     * data.sentAt is the time of publishing, in ms since the epoch with the nanoseconds as its fraction. Where mixed,
     * every second event of a session is a user event, on its own channel, and every event has a record of its own.
     */
    void generate(
            String channel, long count, long keys, long start, double rate, int pad, boolean inTurn, boolean mixed) {
        String padding = "x".repeat(pad);
        List<ServerSession> sessions = bayeux.getSessions();
        long began = System.nanoTime();
        for (long index = 0; index < count; index++) {
            if (rate > 0) {
                long due = began + (long) (index * 1e9 / rate);
                for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
                    LockSupport.parkNanos(left);
                }
            }
            long turn = inTurn ? index / sessions.size() : index;
            Event event;
            if (mixed && turn % 2 == 1) {
                event = new Event("/me/internal", new JSON.Literal(userEvent(start + index, padding)), null);
            } else {
                long handle = mixed ? start + index : index % keys;
                event = new Event(channel, new JSON.Literal(acknowledgement(handle, start + index, padding)), null);
            }
            if (inTurn) {
                ServerSession session = sessions.get((int) (index % sessions.size()));
                session.batch(() -> deliver(session, event));
            } else {
                publish(List.of(event));
            }
        }
    }

    List<Map<String, Object>> sessions() {
        return bayeux.getSessions().stream().map(session -> Map.of(
                "clientId", session.getId(),
                "user", String.valueOf(session.getAttribute(Access.USER)),
                "queued", UnacknowledgedMessages.count(session),
                "subscriptions", session.getSubscriptions().stream().map(ServerChannel::getId).sorted().toList(),
                "connected", session.isConnected())).toList();
    }

    /** Removes every session as its expiry would; returns how many there were. */
    int expireSessions() {
        int expired = 0;
        for (ServerSession session : bayeux.getSessions()) {
            if (bayeux.removeServerSession(session, true)) {
                expired++;
            }
        }
        return expired;
    }

    private static void deliver(ServerSession session, Event event) {
        if (event.user() != null && !event.user().equals(session.getAttribute(Access.USER))) {
            return;
        }
        ChannelId target = new ChannelId(event.channel());
        for (ServerChannel subscribed : session.getSubscriptions()) {
            if (subscribed.getChannelId().matches(target)) {
                CometD.deliver(session, event.channel(), event.data());
                return;
            }
        }
    }

    private static String acknowledgement(long recordHandle, long referenceId, String padding) {
        StringBuilder json = new StringBuilder(384 + padding.length());
        json.append("{\"record\":{\"devicePath\":\"/devices/").append(RestServlet.DEVICE)
                .append("\",\"callingList\":\"CallingList1\",\"applicationId\":134,\"recordHandle\":").append(recordHandle)
                .append(",\"campaignName\":\"Campaign1\"},\"notificationType\":\"DoNotCallAcknowledge\"")
                .append(",\"messageType\":\"OutboundRecordMessage\",\"referenceId\":\"").append(referenceId).append('"');
        return sent(json, Instant.now(), padding);
    }

    private static String userEvent(long recordHandle, String padding) {
        Instant now = Instant.now();
        StringBuilder json = new StringBuilder(512 + padding.length());
        json.append("{\"metrics\":{\"eventProcessing\":{\"serverGenerationTimestamp\":").append(now.toEpochMilli())
                .append(",\"nodeProcessingTimeNanos\":4352048,\"serverProcessingTimeTotalMs\":5}}")
                .append(",\"userData\":{\"GSW_CHAIN_ATTR\":\"AllChain\",\"GSW_APPLICATION_ID\":134")
                .append(",\"GSW_RECORD_HANDLE\":").append(recordHandle)
                .append(",\"GSW_USER_EVENT\":\"DoNotCallAcknowledge\",\"GSW_CALLING_LIST\":\"CallingList1\"")
                .append(",\"GSW_PHONE\":\"3001\",\"GSW_CAMPAIGN_NAME\":\"Campaign1\"}")
                .append(",\"deviceId\":\"").append(RestServlet.DEVICE)
                .append("\",\"messageType\":\"DeviceUserEventMessage\"");
        return sent(json, now, padding);
    }

    /** Adds what no event of Web Services has: when it was sent, and the padding. */
    private static String sent(StringBuilder json, Instant now, String padding) {
        String fraction = String.valueOf(1_000_000 + now.getNano() % 1_000_000).substring(1);
        json.append(",\"sentAt\":").append(now.toEpochMilli()).append('.').append(fraction);
        if (!padding.isEmpty()) {
            json.append(",\"pad\":\"").append(padding).append('"');
        }
        return json.append('}').toString();
    }
}
