package webservices;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/** The REST paths that the bridge uses: who am I, which version, agent sessions, operations on outbound records. */
final class RestServlet extends HttpServlet {
    static final String DEVICE = "f32a46c4-8a48-4067-9965-537fc9788790";
    private static final long serialVersionUID = 1L;
    private static final Pattern RECORD_PATH = Pattern.compile("/me/outbound-records(?:/(\\d{1,18}))?");
    /** operationName to the notificationType of its acknowledgement; the two often differ in name. */
    private static final Map<String, String> NOTIFICATIONS = Map.of(
            "DoNotCallRecord", "DoNotCallAcknowledge",
            "GetChainedRecord", "ChainedRecordsDataEnd",
            "UpdateRecord", "UpdateCallCompletionStatsAcknowledge",
            "CompleteRecord", "RecordProcessedAcknowledge",
            "RejectRecord", "RecordRejectAcknowledge",
            "RescheduleRecord", "ScheduledRecordRescheduleAcknowledge",
            "AddRecord", "AddRecordAcknowledge");

    private final transient Events events;
    private final transient Faults faults;
    private final long acknowledgementDelay;
    private final transient Queue<Map<String, Object>> operations = new ConcurrentLinkedQueue<>();
    private final transient ScheduledThreadPoolExecutor later = new ScheduledThreadPoolExecutor(1, task -> {
        Thread thread = new Thread(task, "acknowledgements");
        thread.setDaemon(true);
        return thread;
    });

    /** acknowledgementDelay: ms from the accepted operation to its two events. */
    RestServlet(Events events, Faults faults, long acknowledgementDelay) {
        this.events = events;
        this.faults = faults;
        this.acknowledgementDelay = acknowledgementDelay;
    }

    /** Forgets the operations, and the acknowledgements that are still to come. */
    void reset() {
        later.getQueue().clear();
        operations.clear();
    }

    List<Map<String, Object>> operations() {
        return List.copyOf(operations);
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getPathInfo()) {
            case "/me" -> Reply.ok(response, Map.of("user", user(request)));
            case "/me/devices" -> Reply.ok(response, Map.of("devices", List.of(device())));
            case "/diagnostics/version" -> Reply.ok(response, Map.of("version", "8.5.202.96"));
            default -> Reply.error(response, 404, 6, "Resource not found");
        }
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String path = request.getPathInfo();
        Map<String, Object> body;
        try {
            body = Json.object(request.getReader());
        } catch (IllegalArgumentException invalid) {
            Reply.error(response, 400, 10, "Input validation failed");
            return;
        }
        Matcher recordPath = RECORD_PATH.matcher(path);
        if (!path.equals("/me") && !recordPath.matches()) {
            Reply.error(response, 404, 6, "Resource not found");
            return;
        }
        operations.add(Map.of("path", request.getRequestURI(), "body", body, "at", System.currentTimeMillis() / 1000.0));
        Optional<Faults.Fault> refusal = faults.strike(Faults.REFUSALS);
        if (refusal.isPresent()) {
            refuse(request, response, refusal.get().name());
        } else if (path.equals("/me")) {
            agentSession(request, response, body);
        } else {
            String handle = recordPath.group(1);
            operation(request, response, handle == null ? null : Long.valueOf(handle), body);
        }
    }

    private static void refuse(HttpServletRequest request, HttpServletResponse response, String fault) throws IOException {
        switch (fault) {
            case "status-4" -> Reply.error(response, 500, 4, "Device '5001' is not registered.");
            case "status-20" -> Reply.error(response, 403, 20, "Access denied");
            case "forbidden-3" -> Reply.error(response, 403, 3, "Forbidden");
            case "forbidden-5" -> Reply.error(response, 403, 5, "No permission");
            case "csrf-invalid" -> {
                Access.renewToken(request.getSession());
                Reply.invalidToken(response);
            }
            default -> throw new IllegalStateException(fault);
        }
    }

    private void agentSession(HttpServletRequest request, HttpServletResponse response, Map<String, Object> body)
            throws IOException {
        String name = String.valueOf(body.get("operationName"));
        if (!Set.of("StartContactCenterSession", "EndContactCenterSession").contains(name)) {
            Reply.error(response, 400, 10, "Unknown operationName");
            return;
        }
        Reply.ok(response, Map.of());
        if (name.equals("EndContactCenterSession")) {
            request.getSession().invalidate();
        }
    }

    private void operation(HttpServletRequest request, HttpServletResponse response, Long handle, Map<String, Object> body)
            throws IOException {
        String name = String.valueOf(body.get("operationName"));
        if (!NOTIFICATIONS.containsKey(name)) {
            Reply.error(response, 400, 10, "Unknown operationName");
            return;
        }
        List<String> required = new ArrayList<>(List.of("applicationId", "campaignName", "devicePath"));
        if (name.equals("DoNotCallRecord")) {
            required.add(handle == null ? "phoneNumber" : "callingList");
        }
        for (String parameter : required) {
            if (body.get(parameter) == null) {
                Reply.error(response, 400, 1, "Required parameter '" + parameter + "' is missing");
                return;
            }
        }
        Reply.ok(response, Map.of());
        acknowledge((String) request.getAttribute(Access.USER), NOTIFICATIONS.get(name), handle, body);
    }

    private void acknowledge(String user, String notification, Long handle, Map<String, Object> body) {
        Object reference = body.get("referenceId");
        Optional<Faults.Fault> altered = faults.strike(Faults.REFERENCES);
        if (altered.isPresent()) {
            reference = altered.get().name().equals("no-reference") ? null : numeric(reference);
        }
        List<Events.Event> both = List.of(
                new Events.Event("/v2/me/outbound", Messages.acknowledgement(notification, handle, reference, body), user),
                new Events.Event("/me/internal", Messages.userEvent(notification, handle, body), user));
        Faults.Fault answer = faults.strike(Faults.ANSWERS).orElse(Faults.NONE);
        if (answer.name().equals("acknowledgement-missing")) {
            return;
        }
        List<Events.Event> published = new ArrayList<>(both);
        if (answer.name().equals("acknowledgement-doubled")) {
            published.addAll(both);
        }
        long late = answer.name().equals("acknowledgement-late") ? (long) (1000 * answer.delay()) : 0;
        later.schedule(() -> events.publish(published), acknowledgementDelay + late, TimeUnit.MILLISECONDS);
    }

    private static Object numeric(Object reference) {
        String text = String.valueOf(reference);
        return text.matches("\\d{1,18}") ? Long.valueOf(text) : (Object) 66;
    }

    private static Map<String, Object> user(HttpServletRequest request) {
        Object name = request.getAttribute(Access.USER);
        Map<String, Object> user = new LinkedHashMap<>();
        user.put("id", "8c3f4f9e1b7d4f0f9a4b2f7f6f0d9c11");
        user.put("userName", name);
        user.put("roles", List.of("ROLE_AGENT"));
        user.put("enabled", true);
        String subresources = request.getParameter("subresources");
        List<String> wanted = subresources == null ? List.of() : List.of(subresources.split(","));
        if (wanted.contains("features") || wanted.contains("*")) {
            user.put("features", List.of(feature("api-voice", "API Voice"),
                    feature("api-voice-outbound", "API Voice Outbound")));
        }
        if (wanted.contains("devices") || wanted.contains("*")) {
            user.put("devices", List.of(device()));
        }
        if (wanted.contains("channels") || wanted.contains("*")) {
            user.put("channels", List.of(Map.of("id", "voice", "activated", true)));
        }
        return user;
    }

    private static Map<String, Object> feature(String id, String displayName) {
        return Map.of("id", id, "displayName", displayName);
    }

    private static Map<String, Object> device() {
        return Map.of("id", DEVICE, "deviceState", "Active", "phoneNumber", "5001", "doNotDisturb", "Off");
    }
}
