// Deep links, so that the home page leads to each operation.
SwaggerUIBundle({ url: "/_local/openapi.yaml", dom_id: "#swagger-ui", deepLinking: true });
