// Shows the OpenAPI document that the page names; nothing is asked of another host.
"use strict";
(() => {
  const place = document.getElementById("api");
  window.SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    // Not sent to the validator of the project's own site [Swagger UI, Configuration, validatorUrl].
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    filter: true,
    defaultModelsExpandDepth: 0,
  });
})();
