/** What the reader's role in a chat lets them do, so that nothing is offered in vain; the gateway decides. */

export const mayWrite = ({ role, read_only: readOnly }) => !readOnly && role !== "viewer";
export const mayRename = ({ role }) => role === "owner" || role === "moderator";
export const mayDelete = ({ role }) => role === "owner";
