package webservices;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import javax.servlet.http.HttpServletResponse;

/** The forms of a Web Services reply: statusCode always, statusMessage only when it is not 0. */
final class Reply {
    private Reply() {}

    static void ok(HttpServletResponse response, Map<String, ?> attributes) throws IOException {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("statusCode", 0);
        body.putAll(attributes);
        json(response, 200, body);
    }

    static void error(HttpServletResponse response, int httpStatus, int statusCode, String message) throws IOException {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("statusCode", statusCode);
        body.put("statusMessage", message);
        json(response, httpStatus, body);
    }

    /** The third meaning of 403; its body is text, not JSON. */
    static void invalidToken(HttpServletResponse response) throws IOException {
        response.setStatus(403);
        response.setContentType("text/plain;charset=UTF-8");
        response.getWriter().write("Missing or invalid Csrf token");
    }

    static void json(HttpServletResponse response, int httpStatus, Object body) throws IOException {
        response.setStatus(httpStatus);
        response.setContentType("application/json;charset=UTF-8");
        response.getWriter().write(Json.text(body));
    }
}
