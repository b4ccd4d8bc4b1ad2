package webservices;

import org.cometd.bayeux.Promise;
import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.BayeuxServerImpl;

/** The calls that CometD 3 has in another form, for CometD 4 and newer. */
final class CometD {
    private CometD() {}

    /** Gives each new session the user of its login. Request attributes are gone where Jetty reads the body later. */
    static void nameSessions(BayeuxServerImpl server) {
        server.addListener(new BayeuxServer.SessionListener() {
            @Override
            public void sessionAdded(ServerSession session, ServerMessage handshake) {
                session.setAttribute(Access.USER, handshake.getBayeuxContext().getHttpSessionAttribute(Access.USER));
            }

            // Without @Override and deprecated: CometD 4 needs it, and the newer versions do not know it.
            @SuppressWarnings("deprecation")
            public void sessionRemoved(ServerSession session, boolean timedOut) {}
        });
    }

    static void deliver(ServerSession session, String channel, Object data) {
        session.deliver(null, channel, data, Promise.noop());
    }
}
