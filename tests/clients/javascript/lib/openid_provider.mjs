// A real OpenID provider (npm's oidc-provider) as a process of its own, with its login and consent pages. Started with
// its port and the addresses to which it may lead back; an account is what the table says, whatever the password.

import Provider from "oidc-provider";

const [port, ...redirectUris] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

const ACCOUNTS = {
  dora: { email: "dora@example.com", email_verified: true, groups: ["dev"], preferred_username: "dora" },
  otto: { email: "otto@example.com", email_verified: true, groups: ["boss"], preferred_username: "otto" },
  vera: { email: "vera@example.com", email_verified: false, preferred_username: "vera" },
  stan: { preferred_username: "stan" },
};

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "memory-bank",
      client_secret: "a secret of the test: 100%",
      redirect_uris: redirectUris,
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username", "groups"] },
  findAccount: (_, id) => ACCOUNTS[id] && { accountId: id, claims: () => ({ sub: id, ...ACCOUNTS[id] }) },
});
provider.on("server_error", (_, error) => console.error(error));

provider.listen(Number(port), "127.0.0.1", () => console.log(`ready ${issuer}`));
