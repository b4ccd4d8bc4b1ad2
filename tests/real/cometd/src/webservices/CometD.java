package webservices;

import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.bayeux.server.ServerMessage;
import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.BayeuxServerImpl;

/** The calls that other major versions of CometD have in another form: tests/compatibility/cometd has that form. */
final class CometD {
    private CometD() {}

    /** Gives each new session the user of its login. */
    static void nameSessions(BayeuxServerImpl server) {
        server.addListener(new BayeuxServer.SessionListener() {
            @Override
            public void sessionAdded(ServerSession session, ServerMessage handshake) {
                session.setAttribute(Access.USER, server.getContext().getRequestAttribute(Access.USER));
            }

            @Override
            public void sessionRemoved(ServerSession session, boolean timedOut) {}
        });
    }

    static void deliver(ServerSession session, String channel, Object data) {
        session.deliver(null, channel, data);
    }
}
