package webservices;

import java.io.IOException;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import javax.servlet.DispatcherType;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.CometDServlet;
import org.cometd.server.ext.AcknowledgedMessagesExtension;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.servlet.FilterHolder;
import org.eclipse.jetty.servlet.ServletContextHandler;
import org.eclipse.jetty.servlet.ServletHolder;

/**
 * A Web Services stand-in around the real CometD 3 server: its login, CSRF rule and outbound operations by REST, its events
 * by long polling. Prints "listening PORT" when it is up; ends on SIGTERM or when its standard input closes.
 *
 * <p>Arguments, each "--name value": port (0: a free one), timeout, max-interval and acknowledgement-delay (ms), ack and
 * csrf (on or off), users (name:password, comma-separated).
 */
public final class WebServicesServer {
    private static final Map<String, String> DEFAULTS = Map.of(
            "port", "0", "timeout", "30000", "max-interval", "10000", "acknowledgement-delay", "20",
            "ack", "on", "csrf", "on", "users", "agent:secret");

    private WebServicesServer() {}

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = options(arguments);
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(options.get("port")));
        // Longer than any poll: Jetty must not end a parked /meta/connect.
        connector.setIdleTimeout(120_000);
        server.addConnector(connector);

        ServletContextHandler context = new ServletContextHandler(ServletContextHandler.SESSIONS);
        context.setContextPath("/");
        context.getSessionHandler().setHttpOnly(true);
        server.setHandler(context);

        Access access = new Access(users(options.get("users")), options.get("csrf").equals("on"));
        context.getSessionHandler().addEventListener(access);
        FilterHolder filter = new FilterHolder(access);
        filter.setAsyncSupported(true);
        context.addFilter(filter, "/api/v2/*", EnumSet.of(DispatcherType.REQUEST));

        CometDServlet cometd = new CometDServlet();
        ServletHolder notifications = new ServletHolder(cometd);
        notifications.setInitParameter("transports", "org.cometd.server.transport.AsyncJSONTransport");
        notifications.setInitParameter("timeout", options.get("timeout"));
        notifications.setInitParameter("interval", "0");
        notifications.setInitParameter("maxInterval", options.get("max-interval"));
        notifications.setInitOrder(1);
        notifications.setAsyncSupported(true);
        context.addServlet(notifications, "/api/v2/notifications/*");

        Faults faults = new Faults();
        Events events = new Events();
        RestServlet rest = new RestServlet(events, faults, Long.parseLong(options.get("acknowledgement-delay")));
        context.addServlet(new ServletHolder(rest), "/api/v2/*");
        context.addServlet(new ServletHolder(new ControlServlet(events, access, faults, rest)), "/simulator/*");

        server.start();
        BayeuxServerImpl bayeux = cometd.getBayeux();
        if (options.get("ack").equals("on")) {
            bayeux.addExtension(new AcknowledgedMessagesExtension());
        }
        events.serve(bayeux);
        System.out.println("listening " + connector.getLocalPort());
        System.out.flush();
        awaitEndOfInput();
        System.exit(0);
    }

    private static Map<String, String> options(String[] arguments) {
        Map<String, String> options = new HashMap<>(DEFAULTS);
        for (int index = 0; index < arguments.length; index += 2) {
            String name = arguments[index].startsWith("--") ? arguments[index].substring(2) : "";
            if (!DEFAULTS.containsKey(name) || index + 1 == arguments.length) {
                throw new IllegalArgumentException("expected --name value with a name of " + Set.copyOf(DEFAULTS.keySet())
                        + ", got " + arguments[index]);
            }
            options.put(name, arguments[index + 1]);
        }
        return options;
    }

    private static Map<String, String> users(String text) {
        Map<String, String> users = new LinkedHashMap<>();
        for (String pair : text.split(",")) {
            String[] parts = pair.split(":", 2);
            users.put(parts[0], parts[1]);
        }
        return users;
    }

    /** The pipe closes when the process that started this one is gone, however it ended. */
    private static void awaitEndOfInput() throws IOException {
        while (System.in.read() >= 0) {
            continue;
        }
    }
}
