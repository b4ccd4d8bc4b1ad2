package org.cometd.server.ext;

import org.cometd.bayeux.server.ServerSession;
import org.cometd.server.ServerSessionImpl;

/** Stands in CometD's package because the queue of the acknowledgement extension is visible only there. */
public final class UnacknowledgedMessages {
    private UnacknowledgedMessages() {}

    /** How many events the server still holds for a session: unacknowledged ones with the extension, else unsent ones. */
    public static int count(ServerSession session) {
        for (ServerSession.Extension extension : session.getExtensions()) {
            if (extension instanceof AcknowledgedMessagesSessionExtension acknowledged) {
                return acknowledged.getBatchArrayQueue().size();
            }
        }
        return ((ServerSessionImpl) session).getQueue().size();
    }
}
