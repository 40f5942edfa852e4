// Shows the OpenAPI document that the page names; nothing is asked of another host.
"use strict";
(() => {
  const place = document.getElementById("api");

  // A link inside of the button that opens an operation is a control in a control: its text will do.
  const plain = (system) => ({
    wrapComponents: { DeepLink: () => ({ text }) => system.React.createElement("span", null, text) },
  });

  // Fields without a label are named by what stands beside them.
  function name(field) {
    const labelled = [...field.labels].some((label) => label.innerText.trim() && field.id !== "servers");
    if (labelled || field.hasAttribute("aria-label")) return;
    const row = field.closest("tr, .servers, .parameters-col_description");
    const of = row && row.querySelector(".parameter__name, .servers-title");
    field.setAttribute("aria-label", field.id === "servers" ? "Server"
      : field.placeholder || (of ? of.firstChild.textContent : "Value"));
  }
  const unnamed = () => place.querySelectorAll("select, input, textarea").forEach(name);
  new MutationObserver(unnamed).observe(place, { childList: true, subtree: true });

  window.SwaggerUIBundle({
    url: place.dataset.document,
    domNode: place,
    plugins: [plain],
    // Not sent to the validator of the project's own site [Swagger UI, Configuration, validatorUrl].
    validatorUrl: null,
    deepLinking: true,
    docExpansion: "list",
    filter: true,
    defaultModelsExpandDepth: 0,
  });
})();
