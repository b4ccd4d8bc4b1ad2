package webservices;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/** /simulator/*: steers the server from another process. JSON in and out, no login. */
final class ControlServlet extends HttpServlet {
    private static final long serialVersionUID = 1L;

    private final transient Events events;
    private final transient Access access;
    private final transient Faults faults;
    private final transient RestServlet rest;

    ControlServlet(Events events, Access access, Faults faults, RestServlet rest) {
        this.events = events;
        this.access = access;
        this.faults = faults;
        this.rest = rest;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getPathInfo()) {
            case "/sessions" -> Reply.json(response, 200, events.sessions());
            case "/operations" -> Reply.json(response, 200, rest.operations());
            case "/faults" -> Reply.json(response, 200, faults.state());
            default -> Reply.json(response, 404, Map.of("error", "no such path"));
        }
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        try {
            switch (request.getPathInfo()) {
                case "/publish" -> Reply.json(response, 200, Map.of("published", publish(Json.object(request.getReader()))));
                case "/expire-sessions" -> Reply.json(response, 200, Map.of("expired", events.expireSessions()));
                case "/reset" -> {
                    rest.reset();
                    faults.reset();
                    access.reset();
                    Reply.json(response, 200, Map.of("expired", events.expireSessions()));
                }
                case "/drop-logins" -> Reply.json(response, 200, Map.of("dropped", access.dropLogins()));
                case "/password" -> {
                    Map<String, Object> order = Json.object(request.getReader());
                    access.changePassword((String) order.get("user"), (String) order.get("password"));
                    Reply.json(response, 200, Map.of());
                }
                case "/faults" -> {
                    String lines = request.getReader().lines().collect(Collectors.joining("\n"));
                    Reply.json(response, 200, Map.of("added", faults.add(lines)));
                }
                default -> Reply.json(response, 404, Map.of("error", "no such path"));
            }
        } catch (IllegalArgumentException invalid) {
            Reply.json(response, 400, Map.of("error", String.valueOf(invalid.getMessage())));
        }
    }

    @Override
    protected void doDelete(HttpServletRequest request, HttpServletResponse response) throws IOException {
        if (request.getPathInfo().equals("/faults")) {
            Reply.json(response, 200, Map.of("cleared", faults.clear()));
        } else {
            Reply.json(response, 404, Map.of("error", "no such path"));
        }
    }

    /**
     * {channel, data, user} or {messages: [{channel, data, user}, ...]}, user optional, or
     * {generate: n, keys, start, rate, pad, channel, inTurn, mixed}.
     */
    private long publish(Map<String, Object> order) {
        if (order.containsKey("generate")) {
            long count = number(order, "generate", 0).longValue();
            String channel = (String) order.getOrDefault("channel", "/v2/me/outbound");
            events.generate(channel, count, Math.max(1, number(order, "keys", 1000).longValue()),
                    number(order, "start", 0).longValue(), number(order, "rate", 0).doubleValue(),
                    number(order, "pad", 0).intValue(), Boolean.TRUE.equals(order.get("inTurn")),
                    Boolean.TRUE.equals(order.get("mixed")));
            return count;
        }
        List<Events.Event> batch = new ArrayList<>();
        if (order.get("messages") instanceof Object[] messages) {
            for (Object message : messages) {
                batch.add(event(Json.object(message)));
            }
        } else {
            batch.add(event(order));
        }
        events.publish(batch);
        return batch.size();
    }

    private static Events.Event event(Map<String, Object> message) {
        if (message.get("channel") instanceof String channel && message.containsKey("data")) {
            return new Events.Event(channel, message.get("data"), (String) message.get("user"));
        }
        throw new IllegalArgumentException("an event needs channel and data");
    }

    private static Number number(Map<String, Object> order, String name, Number otherwise) {
        Object value = order.getOrDefault(name, otherwise);
        if (value instanceof Number number) {
            return number;
        }
        throw new IllegalArgumentException(name + " must be a number");
    }
}
