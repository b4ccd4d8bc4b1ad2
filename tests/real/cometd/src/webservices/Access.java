package webservices;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import javax.servlet.Filter;
import javax.servlet.FilterChain;
import javax.servlet.FilterConfig;
import javax.servlet.ServletException;
import javax.servlet.ServletRequest;
import javax.servlet.ServletResponse;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import javax.servlet.http.HttpSession;
import javax.servlet.http.HttpSessionEvent;
import javax.servlet.http.HttpSessionListener;

/** Basic login into a JSESSIONID session, 403 with statusCode 20 without one, and the CSRF token that lives with it. */
final class Access implements Filter, HttpSessionListener {
    static final String USER = "user";
    private static final String CSRF_HEADER = "X-CSRF-TOKEN";

    private final Map<String, String> users = new ConcurrentHashMap<>();
    private final Map<String, String> usersAtFirst;
    private final boolean csrf;
    private final Set<HttpSession> logins = ConcurrentHashMap.newKeySet();

    Access(Map<String, String> users, boolean csrf) {
        this.usersAtFirst = Map.copyOf(users);
        this.users.putAll(users);
        this.csrf = csrf;
    }

    /** Ends every login, and accepts the passwords that were accepted at first. */
    void reset() {
        users.putAll(usersAtFirst);
        dropLogins();
    }

    @Override
    public void doFilter(ServletRequest anyRequest, ServletResponse anyResponse, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest request = (HttpServletRequest) anyRequest;
        HttpServletResponse response = (HttpServletResponse) anyResponse;
        String path = request.getRequestURI();
        if (path.equals("/api/v2/diagnostics/version")) {
            chain.doFilter(request, response);
            return;
        }
        HttpSession session = login(request);
        if (session == null) {
            Reply.error(response, 403, 20, "Access denied");
            return;
        }
        boolean reads = request.getMethod().equals("GET");
        Object token = session.getAttribute(CSRF_HEADER);
        if (csrf && reads) {
            response.setHeader("X-CSRF-HEADER", CSRF_HEADER);
            response.setHeader(CSRF_HEADER, token.toString());
        }
        // No page says that CometD requests need the token, and known clients send none there.
        boolean guarded = !reads && !path.startsWith("/api/v2/notifications");
        if (csrf && guarded && !token.equals(request.getHeader(CSRF_HEADER))) {
            Reply.invalidToken(response);
            return;
        }
        request.setAttribute(USER, session.getAttribute(USER));
        chain.doFilter(request, response);
    }

    /** Gives a login another CSRF token; the one it had is invalid from now on. */
    static void renewToken(HttpSession session) {
        session.setAttribute(CSRF_HEADER, UUID.randomUUID().toString());
    }

    /** Accepts only this password in the user's later logins; those that are open stay open. */
    void changePassword(String user, String password) {
        users.put(user, password);
    }

    /** Ends every login; returns how many there were. */
    int dropLogins() {
        int dropped = 0;
        for (HttpSession session : List.copyOf(logins)) {
            try {
                session.invalidate();
                dropped++;
            } catch (IllegalStateException alreadyInvalid) {
                logins.remove(session);
            }
        }
        return dropped;
    }

    private HttpSession login(HttpServletRequest request) {
        HttpSession session = request.getSession(false);
        String authorization = request.getHeader("Authorization");
        if (authorization == null) {
            return session;
        }
        String user = authenticate(authorization);
        if (user == null) {
            return null;
        }
        if (session != null && user.equals(session.getAttribute(USER))) {
            return session;
        }
        if (session != null) {
            session.invalidate();
        }
        HttpSession opened = request.getSession(true);
        opened.setAttribute(USER, user);
        renewToken(opened);
        return opened;
    }

    private String authenticate(String authorization) {
        if (!authorization.startsWith("Basic ")) {
            return null;
        }
        String[] pair;
        try {
            byte[] decoded = Base64.getDecoder().decode(authorization.substring(6).trim());
            pair = new String(decoded, StandardCharsets.UTF_8).split(":", 2);
        } catch (IllegalArgumentException notBase64) {
            return null;
        }
        return pair.length == 2 && pair[1].equals(users.get(pair[0])) ? pair[0] : null;
    }

    @Override
    public void sessionCreated(HttpSessionEvent event) {
        logins.add(event.getSession());
    }

    @Override
    public void sessionDestroyed(HttpSessionEvent event) {
        logins.remove(event.getSession());
    }

    @Override
    public void init(FilterConfig configuration) {}

    @Override
    public void destroy() {}
}
