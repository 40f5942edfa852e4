/* For pages that another version of the service made, as while it is being deployed. */
import(new URL("scripts/any/buildapi.js", document.currentScript.src));
